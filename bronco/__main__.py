"""`python -m bronco`: the command, for whoever starts it as a process of its own."""

from bronco.cli import main

if __name__ == "__main__":
    main()
