"""Why a query that ran is wrong: differences by clause, causes, suspect golds."""
