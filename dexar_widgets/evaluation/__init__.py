"""Evaluation: any methods on any data by any metrics, unit by unit, so that a run can stop anywhere and go on.

``samples`` says what is shown to a model and what is known about it, ``data`` reads data sets.
"""
