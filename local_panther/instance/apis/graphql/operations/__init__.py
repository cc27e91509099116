"""Resolvers of the GraphQL API: one method for each field of Query and Mutation, with its name."""
