"""Distillation: a student that needs fewer steps than its teacher, by three methods, one a file (section 3.6).

In reading order: flow, codi, lcm, guided, methods, student.
"""
