"""The pages of projects and warehouses, one module a noun."""
