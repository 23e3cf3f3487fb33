"""Distillation: a student that needs fewer steps than its teacher, by three methods, one a file (section 3.6)."""
