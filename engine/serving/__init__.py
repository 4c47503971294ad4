"""An OpenAI-compatible endpoint on loopback, for editors and scripts: requests take turns with the chat."""
