"""What clients asked and were told, and who judges it: see OVERVIEW.md."""
