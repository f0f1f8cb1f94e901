"""Slips of the keyboard: one letter too many, too few, another one, or two exchanged (Damerau, CACM 7(3), 1964)."""


def one_slip(one: str, other: str) -> bool:
    """Whether the words differ by exactly one slip; symmetric, linear in their length."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    if len(one) > len(other):
        one, other = other, one
    first = next((at for at, letter in enumerate(one) if letter != other[at]), len(one))
    if len(one) < len(other):
        return one[first:] == other[first + 1 :]
    if one[first + 1 :] == other[first + 1 :]:
        return True
    swapped = one[first + 1 : first + 2] + one[first]
    return one[:first] + swapped + one[first + 2 :] == other
