"""What the tables and figures say, for readers who know neither the method nor statistics."""

TITLES = {
    "table2": "Table 2. How densely each model uses the instruction",
    "table1": "Table 1. Do responses that follow the instruction use it more densely?",
    "figure6": "Figure 6. Which part of a sentence matters most",
    "scores": "Scores of each prompt under both models",
    "instances": "All prompts",
}

CAPTIONS = {
    "table2": (
        "One row for each data set: the mean score of the instruction ± its standard deviation over n prompts. A "
        "higher score means that more of the instruction's words matter for many of the response's words. The "
        "difference is tuned minus base; its 95% interval is the range that would hold it 19 times out of 20 if other "
        "prompts of the same kind were drawn. p (one-sided, as in the paper) is the chance of a difference this far up "
        "or further if there were none (small is evidence for one); Holm's correction allows for asking of several "
        "data sets at once, and leaves out the row of all data sets together where there is one. g is the difference "
        "in standard deviations: 0.2 is small, 0.5 medium, 0.8 large. The paired columns compare the two models prompt "
        "by prompt, which is the sharper test, since both answered the same prompts."
    ),
    "table1": (
        "People rated whether a response is helpful; followed means that it does what was asked. The table compares "
        "the score of such responses with that of the others. AUROC is the chance that the score of a followed "
        "response is above that of an unfollowed one: 0.5 is a coin toss, 1 is perfect. Read the other columns as in "
        "table 2."
    ),
    "figure6": (
        "Each sentence of a prompt is cut into four equal runs of tokens. A point is the share of the prompt's "
        "density that falls on that quarter, averaged over prompts; the dotted line at 25% is where it would lie if "
        "all quarters mattered alike. A U shape means that the model looks at the beginning and the end of sentences."
    ),
    "scores": (
        "One mark for each prompt. Marks above the dashed line are prompts whose instruction the tuned model uses "
        "more densely than the base model; marks below it, less densely."
    ),
}

EMPTY = {
    "table1": (
        "There is no table 1: it needs people's ratings of the responses (helpfulness 1 to 4, in both groups), and "
        "these prompts carry none."
    ),
    "table2": "There is no table 2: no data set has responses of both models.",
    "figure6": "There is no figure 6: no data set has a prompt with densities.",
    "scores": "There is no figure of scores: no prompt has a score under both models.",
}
