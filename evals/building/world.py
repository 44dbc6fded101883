"""Shops, buyers and goods that do not exist, and the orders between them. Everything follows from a seed."""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from evals.building.labels import LIMITS

DECIMALS = {"JPY": 0, "KWD": 3}


@dataclass(frozen=True, slots=True)
class Place:
    street: str
    city: str
    province: str
    province_code: str
    zip: str
    country: str
    country_code: str


@dataclass(frozen=True, slots=True)
class Buyer:
    first: str
    last: str
    place: Place

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"


@dataclass(frozen=True, slots=True)
class Shop:
    """`goods` are (title, SKU). `parcels` are (EasyPost carrier, AfterShip slug, carrier's name, prefix of a code)."""

    name: str
    domain: str
    currency: str
    hours: int
    locale: str
    prefix: str
    wms: str
    goods: tuple[tuple[str, str], ...]
    parcels: tuple[str, str, str, str]
    buyers: tuple[Buyer, ...]

    @property
    def zone(self) -> timezone:
        return timezone(timedelta(hours=self.hours))


def _us(street: str, city: str, province: str, code: str, zip_code: str) -> Place:
    return Place(street, city, province, code, zip_code, "United States", "US")


_US = (
    Buyer("Rosalind", "Okafor", _us("418 Juniper Lane", "Asheville", "North Carolina", "NC", "28801")),
    Buyer("Theo", "Lindqvist", _us("77 Alder Street Apt 5", "Portland", "Oregon", "OR", "97205")),
    Buyer("Mabel", "Castellanos", _us("1204 Mesquite Drive", "Tucson", "Arizona", "AZ", "85705")),
    Buyer("Desmond", "Achterberg", _us("9 Quarry Road", "Burlington", "Vermont", "VT", "05401")),
)
_DE = (
    Buyer("Frieda", "Ackermann", Place("Rosenweg 14", "Freiburg", "Baden-Württemberg", "BW", "79098", "Germany", "DE")),
    Buyer("Lennart", "Petersen", Place("Deichstraße 3", "Husum", "Schleswig-Holstein", "SH", "25813", "Germany", "DE")),
    Buyer("Ottilie", "Brandner", Place("Am Graben 21", "Passau", "Bayern", "BY", "94032", "Germany", "DE")),
)
_FR = (
    Buyer("Solène", "Marchetti", Place("12 rue des Tanneurs", "Nantes", "Loire-Atlantique", "44", "44000", "France", "FR")),
    Buyer("Baptiste", "Quéméner", Place("5 quai de la Douane", "Brest", "Finistère", "29", "29200", "France", "FR")),
)
_GB = (
    Buyer("Gwendolyn", "Price", Place("31 Castle Terrace", "Ludlow", "England", "ENG", "SY8 1AY", "United Kingdom", "GB")),
    Buyer("Hamish", "Drummond", Place("4 Shore Street", "Oban", "Scotland", "SCT", "PA34 4LS", "United Kingdom", "GB")),
    Buyer("Anwen", "Rees", Place("18 Heol y Parc", "Brecon", "Wales", "WLS", "LD3 7DU", "United Kingdom", "GB")),
)
_JP = (
    Buyer("直子", "藤原", Place("栄町4-8-2", "金沢市", "石川県", "JP-17", "920-0901", "Japan", "JP")),
    Buyer("亮", "小林", Place("南大通1-3-11", "盛岡市", "岩手県", "JP-03", "020-0874", "Japan", "JP")),
)
_KW = (
    Buyer("Dalal", "Al-Mutairi", Place("Block 4, Street 12, House 7", "Salmiya", "Hawalli", "HA", "20004", "Kuwait", "KW")),
    Buyer("Yousef", "Al-Sabti", Place("Block 2, Street 9, House 31", "Mangaf", "Ahmadi", "AH", "51002", "Kuwait", "KW")),
)
_CA = (Buyer("Élodie", "Gagnon", Place("660 rue Racine", "Chicoutimi", "Québec", "QC", "G7H 1S9", "Canada", "CA")),)
_SE = (Buyer("Ingrid", "Sandahl", Place("Storgatan 27", "Umeå", "Västerbotten", "AC", "903 26", "Sweden", "SE")),)

SHOPS = (
    Shop(
        "Fernhollow Supply",
        "fernhollow-supply",
        "USD",
        -5,
        "en-US",
        "FH-",
        "/wms/memphis",
        (("Canvas field bag", "FHS-BAG-04"), ("Enamel kettle 1.5 l", "FHS-KTL-15"), ("Folding stool", "FHS-STL-1")),
        ("USPS", "usps", "USPS", "94001118"),
        _US,
    ),
    Shop(
        "Uhrwerk Nord",
        "uhrwerk-nord",
        "EUR",
        1,
        "de",
        "UN-",
        "/wms/hamburg",
        (("Wanduhr Eiche", "UWN-WU-30"), ("Lederarmband 20 mm", "UWN-LA-20"), ("Uhrenbeweger Duo", "UWN-UB-2")),
        ("DHLPaket", "dhl-germany", "DHL", "00340434"),
        _DE,
    ),
    Shop(
        "Larkspur & Wren",
        "larkspur-wren",
        "GBP",
        0,
        "en-GB",
        "#LW",
        "/wms/derby",
        (("Wool blanket, heather", "LWR-BLK-H"), ("Stoneware mug set", "LWR-MUG-4"), ("Oak tray", "LWR-TRY-1")),
        ("RoyalMail", "royal-mail", "Royal Mail", "RM1849"),
        _GB,
    ),
    Shop(
        "Kumo Camera",
        "kumo-camera",
        "JPY",
        9,
        "ja",
        "KC-",
        "/wms/osaka",
        (("単焦点レンズ 35mm", "KMC-LNS-35"), ("カメラストラップ 革", "KMC-STR-L"), ("三脚 カーボン", "KMC-TRP-C")),
        ("YamatoTransport", "yamato", "Yamato", "4417"),
        _JP,
    ),
    Shop(
        "Dar Al Oud",
        "dar-al-oud",
        "KWD",
        3,
        "ar",
        "DO",
        "/wms/shuwaikh",
        (("Oud oil 12 ml", "DAO-OIL-12"), ("Incense burner, brass", "DAO-BRN-B"), ("Musk gift set", "DAO-MSK-G")),
        ("Aramex", "aramex", "Aramex", "35110"),
        _KW,
    ),
    Shop(
        "Tideline Boardworks",
        "tideline-boardworks",
        "USD",
        -8,
        "en-US",
        "#",
        "/wms/ventura",
        (("Surf wax 6-pack", "TLB-WAX-6"), ("Board sock 7'2", "TLB-SCK-72"), ("Fin set, medium", "TLB-FIN-M")),
        ("UPS", "ups", "UPS", "1Z88W3"),
        _US,
    ),
    Shop(
        "Atelier Brume",
        "atelier-brume",
        "EUR",
        1,
        "fr",
        "AB-",
        "/wms/rennes",
        (("Bougie figuier 220 g", "ABR-BOU-F"), ("Coffret encens", "ABR-COF-E"), ("Diffuseur céramique", "ABR-DIF-C")),
        ("Colissimo", "colissimo", "Colissimo", "6A117"),
        _FR,
    ),
)

WITHOUT_LIMIT = (
    Shop(
        "Boréal Outillage",
        "boreal-outillage",
        "CAD",
        -4,
        "fr-CA",
        "BO-",
        "/wms/laval",
        (("Hache de camp", "BRL-HAC-1"), ("Lampe frontale", "BRL-LMP-F")),
        ("CanadaPost", "canada-post", "Canada Post", "2004"),
        _CA,
    ),
    Shop(
        "Granris Friluft",
        "granris-friluft",
        "SEK",
        1,
        "sv",
        "GF-",
        "/wms/boras",
        (("Tältpinnar 10-pack", "GRF-TLT-10"), ("Termos 1 l", "GRF-TRM-1")),
        ("PostNord", "postnord", "PostNord", "0037"),
        _SE,
    ),
)
"""Shops that sell in a currency for which the policy has no limit."""


@dataclass(frozen=True, slots=True)
class Line:
    title: str
    sku: str
    quantity: int
    price: int
    id: int


@dataclass(frozen=True, slots=True)
class Order:
    """Amounts are minor units of the shop's currency."""

    shop: Shop
    ref: str
    number: int
    id: int
    buyer: Buyer
    lines: tuple[Line, ...]
    total: int
    placed_at: datetime
    told_email: str | None = None

    @property
    def email(self) -> str:
        return self.told_email or f"buyer{self.number}@example.net"

    @property
    def customer(self) -> int:
        """The buyer's id at the shop: the same for every order under one e-mail address."""
        return 7_100_000_000_000 + int(hashlib.sha256(self.email.encode()).hexdigest()[:9], 16)

    @property
    def gid(self) -> str:
        return f"gid://shopify/Order/{self.id}"


class Draw:
    """Seeded choices and identifiers. Identifiers depend on their own name only, so that adding one moves no other."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.random = random.Random(int(hashlib.sha256(seed.encode()).hexdigest()[:16], 16))

    def hexes(self, name: str, length: int) -> str:
        return hashlib.sha256(f"{self.seed}/{name}".encode()).hexdigest()[:length]

    def number(self, name: str, low: int, high: int) -> int:
        return low + int(self.hexes(name, 12), 16) % (high - low)

    def uuid(self, name: str) -> str:
        text = self.hexes(name, 32)
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"


def decimal(amount: int, currency: str) -> str:
    places = DECIMALS.get(currency, 2)
    return f"{Decimal(amount).scaleb(-places):.{places}f}"


def total_of(draw: Draw, currency: str, size: str) -> int:
    """`plain` well below the limit, `near` one payable step below it, `at` equal, `high` above. A processor takes three-decimal
    currencies in steps of ten."""
    limit = LIMITS.get(currency, 90_000 if currency == "CAD" else 500_000)
    step = 10 if DECIMALS.get(currency, 2) == 3 else 1
    match size:
        case "near":
            return limit - step
        case "at":
            return limit
        case "high":
            raw = draw.number("total", int(limit * 1.1), limit * 5)
        case _:
            raw = draw.number("total", limit // 20, int(limit * 0.7))
    return raw - raw % (step * 5)


def order_of(draw: Draw, shop: Shop, size: str, lines: int, quantity: int) -> Order:
    total = total_of(draw, shop.currency, size)
    number = draw.number("number", 31_000, 98_000)
    start = datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=draw.number("placed", 0, 70 * 24 * 60))
    order_id = draw.number("order", 5_500_000_000_000, 5_999_000_000_000)
    first = draw.number("goods", 0, len(shop.goods))
    goods = [shop.goods[(first + index) % len(shop.goods)] for index in range(lines)]
    shares = [total - total * 3 // 10 // 10 * 10, total * 3 // 10 // 10 * 10] if lines == 2 else [total]
    made = tuple(
        Line(title, sku, quantity, share // quantity, order_id + 100 + index)
        for index, ((title, sku), share) in enumerate(zip(goods, shares, strict=True))
    )
    real_total = sum(line.price * line.quantity for line in made)
    buyer = shop.buyers[draw.number("buyer", 0, len(shop.buyers))]
    return Order(shop, f"{shop.prefix}{number}", number, order_id, buyer, made, real_total, start)
