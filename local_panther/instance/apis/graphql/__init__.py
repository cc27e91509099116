"""The GraphQL API that panther_analysis_tool uses."""
