"""Does a map tell what the model used? Tests of attribution methods on scenes whose truth is known by intervention.

``truth`` says what a word depends on, ``observe`` puts every method's maps beside it, one file per group of tests turns
that into numbers with their chance and interval, ``runner`` does it for all models and can be interrupted, and
``report`` writes it down. The numbers that decide (`gates`) were frozen before the first full run.
"""
