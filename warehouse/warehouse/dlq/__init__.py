"""Dead letters and rejected rows as money: listed, looked at, put back or written off."""
