def rule(event):
    return event.get("action") == "bank_details.update"


def title(event):
    return f"{event.udm('actor_user')} changed the bank details of several employees"


def dedup(event):
    return event.udm("actor_user")


def alert_context(event):
    return {
        "user": event.udm("actor_user"),
        "source_ip": event.udm("source_ip"),
        "employee": event.get("employee"),
    }
