"""Alphas of users and packages: found, loaded and asked in processes of their own."""
