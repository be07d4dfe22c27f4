"""Costs, counted and measured: parameters, multiply-adds, bytes, seconds, and the family from Ti/16 to G/14."""
