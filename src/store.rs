//! SQLite: the event log and the tables that tools read.
