"""Which small part of a dataset ranks methods the way the whole dataset does?"""
