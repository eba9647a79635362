"""A lesson for a class: live pages with quizzes, and a folder from which 30 laptops install without internet."""
