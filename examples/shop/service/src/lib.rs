//! What every service is made of: serving, draining, problems, validated input, tokens.
