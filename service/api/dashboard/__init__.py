"""The dashboard: pages for people, made here; scripts are served from here and are few."""
