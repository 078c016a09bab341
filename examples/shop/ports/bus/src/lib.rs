//! The bus port: events kept durably until they are acknowledged.
