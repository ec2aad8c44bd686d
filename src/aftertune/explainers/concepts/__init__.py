"""GLOBAL: which concepts do the feed-forward layers write?"""
