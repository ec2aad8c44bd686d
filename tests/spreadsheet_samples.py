"""Texts that a spreadsheet takes for formulas, and others that look much like them."""

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "-", "+", "--flag")
PLAIN_TEXTS = ("-1.5", "+3e-4", "-.5", "a=b", " =1", "'=1", "–", "", "1,5", "5-3")
