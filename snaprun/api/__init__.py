"""The library that every door calls: the verbs as ``snaprun --help`` groups them. It never prints."""
