//! The storage port: SQLite embedded, or PostgreSQL.
