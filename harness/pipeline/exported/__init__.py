"""What leaves a run: weights, scores in other tools' formats, and its evaluation in a tracker."""
