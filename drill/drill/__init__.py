"""The fault drill: kill the parts of a throw-away platform, and show that no event and no cent is lost or doubled."""
