#!/usr/bin/env python3
"""A script as people write them: no cells at all."""

import sys

TIMES = 3


def main() -> None:

    for number in range(TIMES):
        print(number, file=sys.stdout)


main()
