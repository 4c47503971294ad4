"""The Hugging Face hub: search, downloads that survive a cut, deletion from the cache. Asked for only."""
