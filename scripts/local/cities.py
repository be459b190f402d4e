"""What are the nodes of a local network called?"""

CITIES = (
    "Lisbon", "Oslo", "Nairobi", "Lima", "Kyoto", "Quito", "Tunis", "Hanoi", "Riga", "Perth", "Dakar",
    "Turin", "Accra", "Bogota", "Cork", "Delhi", "Essen", "Fes", "Ghent", "Havana", "Izmir", "Jakarta",
    "Kazan", "Lagos", "Malmo", "Naples", "Osaka", "Porto", "Quebec", "Rabat", "Seoul", "Tampere",
    "Utrecht", "Vilnius", "Windhoek", "Xiamen", "Yerevan", "Zagreb", "Athens", "Basel", "Cusco",
    "Dublin", "Erfurt", "Fukuoka", "Genoa", "Harare", "Ibadan", "Jaipur", "Kigali", "Leipzig", "Maputo",
    "Nantes", "Odense", "Prague", "Recife", "Sofia", "Tallinn", "Uppsala", "Valencia", "Warsaw",
    "Yokohama", "Zurich", "Almaty", "Bergen",
)  # fmt: skip


def name_of(node: int) -> str:
    """Return the name of node 0, 1, …: a city, and from the second time on its number."""
    again, city = divmod(node, len(CITIES))
    return CITIES[city] if not again else f"{CITIES[city]} {again + 1}"
