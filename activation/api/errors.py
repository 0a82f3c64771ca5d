"""Every error of the API in one shape (`contract.md` §1)."""
