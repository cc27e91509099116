"""What each operation of the GraphQL API answers: one method for each field, named as the field."""
