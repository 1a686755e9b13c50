"""Answers to math questions: gold, text, whether the cap left it whole, and whether it is right."""

from __future__ import annotations

NUMBERS: list[tuple[str, str, bool, bool]] = [
    ("42", "42", True, True),
    ("42", "The answer is 42.", True, True),
    ("42", "6 x 7 = 42 apples", True, True),
    ("42", "It takes 6 x 7 = 42.\n#### 42", True, True),
    ("42", "#### 41\nNo, 42.", True, False),
    ("42", "\\boxed{42}", True, True),
    ("42", "First 41, so \\boxed{42}, not 43.", True, True),
    ("42", "I get -42.", True, False),
    ("-42", "I get −42.", True, True),
    ("-42", "It falls by 42.", True, False),
    ("1080", "That makes $1,080.00 in all.", True, True),
    ("1080", "That makes 1.080.", True, False),
    ("1000000", "#### 1,000,000", True, True),
    ("0.75", "So \\boxed{\\frac{3}{4}} of it.", True, True),
    ("0.5", "Half, that is 1/2", True, True),
    ("2.5", "2 1/2 cups", True, True),
    ("50", "The answer is 50%.", True, True),
    ("7", "The answer is 7 days, which is 1 week.", True, True),
    ("7", "There are 7 days in 1 week", True, False),
    ("7", "seven", True, False),
    ("7", "", True, False),
    ("42", "6 x 7 = 42, and then 4", False, False),
    ("42", "The answer is 42. Let me", False, True),
    ("42", "#### 42\nQuestion: What is 1 +", False, True),
    ("42", "The answer is 42", False, False),
]
EXPRESSIONS: list[tuple[str, str, bool]] = [
    ("\\frac{\\sqrt{3}}{2}", "So it is \\boxed{\\frac{\\sqrt3}{2}}.", True),
    ("\\frac{\\sqrt{3}}{2}", "The answer is $\\sqrt{3}/2$.", True),
    ("\\frac{\\sqrt{3}}{2}", "#### 0.87", False),
    ("\\frac{\\sqrt{3}}{2}", "\\sqrt{3}/2, I guess", False),
    ("x^2+1", "\\boxed{1+x^2}", True),
    ("x^2+1", "\\boxed{x^2-1}", False),
    ("2\\pi", "Answer: 2\\pi", True),
    ("\\{1,2\\}", "\\boxed{\\{2,1\\}}", True),
    ("2\\pi", "\\boxed{9^{9^{9^{9}}}}", False),
    ("2\\pi", "\\boxed{99999999!}", False),
    ("2\\pi", "\\boxed{", False),
]
