//! What both shops have around them: the supplier's list, the payment provider, the mail server.
