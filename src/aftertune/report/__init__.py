"""For the reader: tables, figures and pages; it knows no explainer and computes nothing."""
