"""What the tables and figures say, for readers who know neither the method nor statistics."""

TITLES = {
    "table2": "Table 2. How densely each model uses the instruction",
    "table1": "Table 1. Do responses that follow the instruction use it more densely?",
    "figure6": "Figure 6. Which part of a sentence matters most",
    "scores": "Scores of each prompt under both models",
    "instances": "All prompts",
    "figure2": "Figure 2. How far the heads' word pairs lie apart, by depth",
    "table3": "Table 3. Do heads take up pairs with the words asked about more often than with other verbs?",
    "heads": "Every head",
    "rotation": "How far the directions of the feed-forward layers turned, by depth",
    "figure8": "Figure 8. Accumulated variance",
    "angles": "How far the directions turned, layer by layer",
    "chance": "Are the words nearer than chance would give?",
    "unmatched": "Components without a counterpart in the other model",
    "concepts": "Every component",
    "categories": "Tables 5 and 6. Which tasks the concepts serve, and of which linguistic level they are",
    "figure3": "Figure 3. Linguistic levels by depth",
    "figure7": "Figure 7. How many concepts could be described, by depth and rank",
    "words": "Tables 7 to 10. Words that rose and fell in the descriptions, by depth",
    "clearest": "Tables 4, 11 and 12. The concepts that are read most clearly",
    "trust": "How far to trust the annotator",
    "agreement": "How far the annotator's repeats agree (Fleiss' kappa)",
    "unparsed": "The annotator's unusable answers",
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
    "figure2": (
        "The distance of two lists is 0 where both models have the same pairs and 1 where they share none (1 − M, the "
        "share of pairs that only one model has). A mark is the mean over the heads of neighbouring layers, counted "
        "from 0; the line through it is its 95% interval. On the left a head's list of its top pairs, on the right the "
        "mean over the head's neuron pairs. Pale, hollow marks are controls: the same distance after word vectors were "
        "given to other words (permuted: to any; frequency-matched: to words about as frequent), so that the pairs "
        "mean nothing. What a control reaches as well does not come from words that belong together."
    ),
    "table3": (
        "For a verb and a group of layers, counted from 0: of the heads in which the number of pairs with that verb "
        "changed, the share in which it grew. 50% is no preference. Each row has the mean share over the verbs ± its "
        "standard deviation, in per cent, with the number of verbs that changed anywhere in brackets; the CSV has "
        "shares from 0 to 1. p is two-sided, by Welch's test as in the paper and by a permutation test; Holm's "
        "correction allows for asking of several groups and leaves out the row of all layers. Matched words are random "
        "words as frequent as those asked about, and p (matched) is the share of such sets that lie as far from the "
        "general verbs. The rows below each group are controls: the same from word vectors given to other words "
        "(permuted: to any; frequency-matched: to words about as frequent). A difference counts only where the "
        "controls do not show it too."
    ),
    "rotation": (
        "A network is the feed-forward network of one layer, or of one expert of it; a row is the mean over the "
        "networks of neighbouring layers, counted from 0, ± its standard deviation over them. An angle of 0° is the "
        "same direction, 90° one that has nothing in common with it. Angle of spaces: between the two spaces that all "
        "components read span together; it stays at 0° where components only mixed among themselves. Largest is the "
        "angle of the direction that turned most. Angle of components: between a component of the base and the tuned "
        "component closest to it, its best match. Components of about equal variance mix at the least change, so the "
        "well separated ones, n of them, whose variance lies at least 1% from any other's, are the surer sign. Same "
        "rank: of the base components, the share whose best match has the same rank. Variance kept: the share of the "
        "tuned components' variance that lies in the space of the base components. Words kept: the share of a "
        "component's words that its best match has too. A 95% interval is the range that would hold the mean 19 times "
        "out of 20 if other networks of the same kind were drawn. None of this is a test: any change turns them."
    ),
    "figure8": (
        "The share of the variance of a network's neurons that its first components explain together: mean over "
        "networks, and a band of one standard deviation to either side. A line that rises slowly says that the "
        "neurons write in many directions. A dotted line marks how many components of each network were read for "
        "words, where it was not all of them. The CSV has the numbers of the lines."
    ),
    "angles": (
        "One mark for each network and kind of angle, a line through the mean of each layer, counted from 0. Spaces: "
        "what all components read span together. All components: a component and its best match; this angle is also "
        "large where components of about equal variance mixed. Well separated ones cannot mix so easily. Where only "
        "the angle of all components is large, directions were mixed rather than replaced."
    ),
    "chance": (
        "Among thousands of words some lie along every direction. So the nearest word of each component is set against "
        "those of random directions, by the middle (median) of their |cosine|. Ranks: 1 is the component of most "
        "variance of each network. p ≤ 0.05 is the share of components with a word as near as only one random "
        "direction in twenty has; chance alone gives 5%. Beyond chance are those that also pass a correction for "
        "asking of all components of the model (Benjamini and Hochberg; one in twenty of them may be chance). The "
        "words of the others may be those that any direction has: what they seem to say is no finding. It is "
        "the nearest word that is asked about; even beyond chance the words after it may be those of any direction."
    ),
    "unmatched": (
        "Components that are the best match of no component of the other model: those of the tuned model are new, "
        "those of the base model have gone. Beside each stand the component of the other model that is nearest, and "
        "the angle to it: a small one says that two components came to share one match, a large one that the direction "
        "is nowhere else. Shown are the ten of each model that explain most of their network's variance; the CSV has "
        "all, and the layers below show them with all their words."
    ),
    "categories": (
        "The share of the concepts that could be described which serve a task (a concept may serve several, or none) "
        "or are of a linguistic level (each is of one), in per cent: mean ± standard deviation over the annotator's "
        "repeats. The last row is the share of all concepts that could be described. The difference is tuned minus "
        "base, in points. Two of the p-values, by Welch's test as in the paper and by a permutation test, compare the "
        "repeats of both models, and so does g, the difference in standard deviations: they tell of the annotator's "
        "noise on these very concepts, and a steady annotator makes them small for any two lots of concepts. The p of "
        "concepts is the one to ask whether the models differ: how often a difference as large comes up if the models "
        "change sides at random components. The 95% interval goes with it: the range that would hold the difference "
        "19 times out of 20 if other concepts of the same kind were drawn. All are two-sided; Holm's correction allows "
        "for asking about four tasks, and about four levels."
    ),
    "figure3": (
        "For neighbouring layers, counted from 0: the share of their described concepts that are of each linguistic "
        "level. A mark is the mean over the annotator's repeats, the line through it one standard deviation to either "
        "side. Each level has a scale of its own. The CSV has the numbers."
    ),
    "figure7": (
        "The share of concepts that could be described, over ranks: 1 is the component with the most variance. A panel "
        "is a group of neighbouring layers, or all of them; marks are means over the annotator's repeats, the line "
        "through each one standard deviation to either side. Where the curve falls, later components say less in words."
    ),
    "words": (
        "For neighbouring layers, counted from 0: the words whose share of all words in the annotator's descriptions "
        "grew or shrank most from base to tuned, most first, each with its rank among the words of the base and of the "
        "tuned model (1 is the most frequent). Words of three letters or fewer and common ones such as with or that "
        "are left out. No test was made. The files have shares in per cent, and every number in full in the CSV."
    ),
    "clearest": (
        "Concepts that were described in every repeat, each time of the same level and for the same tasks, those "
        "whose words lie closest along the component first. The description is that of the first repeat. They are "
        "chosen for their clarity: most concepts are less plain than these."
    ),
}

EMPTY = {
    "table1": (
        "There is no table 1: it needs people's ratings of the responses (helpfulness 1 to 4, in both groups), and "
        "these prompts carry none. People give them with aftertune label RUN."
    ),
    "table2": "There is no table 2: no data set has responses of both models.",
    "figure6": "There is no figure 6: no data set has a prompt with densities.",
    "scores": "There is no figure of scores: no prompt has a score under both models.",
    "figure2": "There is no figure 2: no head has a word pair in either model.",
    "table3": "There is no table 3: no head changed its number of pairs with any of the verbs.",
    "rotation": "There is no table of rotation: no network has components in both models.",
    "chance": (
        "This was not measured: the run is of an earlier version of Aftertune. Give its command again, and it is; "
        "what was read already is not read again."
    ),
    "unmatched": "Every component is the best match of one of the other model.",
    "figure8": "There is no figure 8: no network has a variance to share out.",
    "angles": "There is no figure of angles: no network has components in both models.",
    "categories": "There are no tables 5 and 6: no category was asked about.",
    "figure3": "There is no figure 3: no concept has a linguistic level.",
    "figure7": "There is no figure 7: no concept has a usable answer.",
    "words": "There are no tables 7 to 10: no word of a description rose or fell.",
    "clearest": "There are no tables 4, 11 and 12: no concept was read alike in every repeat.",
}
