"""GLOBAL: which word pairs does each attention head connect?"""
