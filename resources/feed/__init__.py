"""The release feed: what VyOS announced, and how an announced ISO is fetched. Nothing here is trusted yet."""
