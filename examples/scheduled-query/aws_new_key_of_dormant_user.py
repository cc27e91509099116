def rule(event):
    # The query has decided: each of its rows is a new key of a dormant user.
    return bool(event.get("access_key_id"))


def title(event):
    return (
        f"New access key of {event.get('user_name')} in {event.get('account')}, "
        "who made no call for 30 days"
    )


def dedup(event):
    return event.get("access_key_id")  # runs overlap, and several of them see one key
