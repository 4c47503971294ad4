"""Images of messages: taken in, made safe by a child process, kept and handed out."""
