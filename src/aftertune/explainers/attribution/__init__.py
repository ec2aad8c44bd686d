"""LOCAL: which prompt tokens does each response token depend on?"""
