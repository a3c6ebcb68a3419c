"""The boundary to PostgreSQL: one function per SQL function, typed rows, sessions."""
