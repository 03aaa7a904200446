"""How realistic the records of a domain are: checks with bounds, and a page that shows them."""
