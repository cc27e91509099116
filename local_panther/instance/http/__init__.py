"""HTTP: listens, decides who is answered, limits connections, and hands requests to the APIs."""
