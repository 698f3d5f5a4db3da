-- The list of conversations counts what could not be read of each; without it, by reading everything.
CREATE INDEX message_unreadable ON message (conversation) WHERE state = 3;
