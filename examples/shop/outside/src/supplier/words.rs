//! The words that products are made of. Makers are invented.
//!
//! A name is a maker, a material and a form; materials and forms are grouped in families that go
//! together, so that there is a walnut cheese board and no steel one.

/// A category with all that can stand on its shelf.
pub(super) struct Shelf {
    pub(super) slug: &'static str,
    pub(super) name: &'static str,
    pub(super) makers: &'static [&'static str],
    pub(super) families: &'static [Family],
}

/// Forms that are all made of the same materials.
pub(super) struct Family {
    pub(super) materials: &'static [&'static str],
    /// How the material was finished: the first sentence of a description ends with it.
    pub(super) finishes: &'static [&'static str],
    pub(super) forms: &'static [Form],
}

/// A kind of thing.
pub(super) struct Form {
    pub(super) name: &'static str,
    /// What one usually costs.
    pub(super) euros: u16,
    /// What it is good for: the second sentence of a description.
    pub(super) purpose: &'static str,
}

const fn form(name: &'static str, euros: u16, purpose: &'static str) -> Form {
    Form { name, euros, purpose }
}

/// By the alphabet of their slugs.
pub(super) const CATEGORIES: [Shelf; 12] = [
    Shelf {
        slug: "bags",
        name: "Bags and cases",
        makers: &["Norrey", "Fellgate", "Sandlark", "Ostrander", "Pellow", "Quarrie"],
        families: &[
            Family {
                materials: &["canvas", "waxed cotton", "recycled nylon", "wool felt", "hemp"],
                finishes: &["woven tightly", "stitched twice at every seam", "lined in cotton"],
                forms: &[
                    form("tote", 35, "Holds a week of groceries and folds flat"),
                    form("backpack", 89, "A sleeve for a laptop, and straps that stay put"),
                    form("duffel", 95, "Three days of clothes, and shoes apart at one end"),
                    form("bicycle bag", 79, "Hooks onto a rack in one movement"),
                    form("wash bag", 29, "Stands open by itself and wipes clean"),
                ],
            },
            Family {
                materials: &["bridle leather", "oiled leather", "cork leather", "suede"],
                finishes: &["cut from one hide", "edges burnished by hand", "darker every year"],
                forms: &[
                    form("satchel", 165, "Two buckles, one pocket, room for papers"),
                    form("wallet", 49, "Six cards and some notes, thin enough for a front pocket"),
                    form("card case", 29, "Four cards, and nothing else"),
                    form("key fob", 14, "Finds the keys at the bottom of any bag"),
                    form("laptop sleeve", 69, "Padded where it matters, flat where it does not"),
                ],
            },
        ],
    },
    Shelf {
        slug: "bath",
        name: "Bath and body",
        makers: &["Lathering", "Saltmere", "Ottery", "Bellwade", "Mirador", "Pinnock"],
        families: &[
            Family {
                materials: &["lavender", "cedar", "bergamot", "oatmeal", "rosemary", "unscented"],
                finishes: &["cold pressed", "without colour or palm oil", "made in small batches"],
                forms: &[
                    form("soap bar", 6, "Cured for six weeks, so that it lasts for six"),
                    form("bath salt", 12, "A handful for a tub, two after a long walk"),
                    form("hand cream", 11, "Sinks in before the telephone rings again"),
                    form("shampoo bar", 9, "Does the work of two bottles and travels dry"),
                    form("shaving cream", 15, "Lathers with a brush or without one"),
                ],
            },
            Family {
                materials: &["cotton", "linen", "waffle cotton", "bamboo"],
                finishes: &["washed soft", "woven loosely to dry quickly", "hemmed with a loop"],
                forms: &[
                    form("bath towel", 32, "Large enough to walk through the flat in"),
                    form("hand towel", 15, "One beside each basin"),
                    form("bath mat", 27, "Warm underfoot on a tiled morning"),
                    form("dressing gown", 85, "Deep pockets and a belt that holds"),
                    form("face cloth", 7, "Boils clean, again and again"),
                ],
            },
        ],
    },
    Shelf {
        slug: "camping",
        name: "Camping",
        makers: &["Tarn & Tor", "Windermoor", "Kestrelby", "Highfold", "Larchway", "Stonecrop"],
        families: &[
            Family {
                materials: &["titanium", "steel", "aluminium", "enamel"],
                finishes: &["light in the pack", "proof against dents and rust", "brushed matt"],
                forms: &[
                    form("camp mug", 18, "Goes on the flame and comes off it by its handle"),
                    form("cooking pot", 39, "A litre and a half, with a lid that strains"),
                    form("frying pan", 35, "Two eggs, or three if they are friends"),
                    form("flask", 29, "Hot until noon, cold until evening"),
                    form("spork", 8, "Neither quite a spoon nor quite a fork, and enough"),
                ],
            },
            Family {
                materials: &["ripstop", "down", "fleece", "merino", "recycled polyester"],
                finishes: &["tested in sleet", "small when packed", "with a bag to stow it"],
                forms: &[
                    form("sleeping bag", 185, "Comfortable at five degrees, bearable at zero"),
                    form("blanket", 59, "For two on a bench, or for one on a train"),
                    form("camp pillow", 25, "Rolls up to the size of an apple"),
                    form("gilet", 79, "Warm where it counts, arms free to work"),
                    form("bag liner", 45, "Adds five degrees, and washes at forty"),
                ],
            },
        ],
    },
    Shelf {
        slug: "garden",
        name: "Garden",
        makers: &["Thistledown", "Hedgeley", "Mossop", "Brambleside", "Applegarth", "Loamhouse"],
        families: &[
            Family {
                materials: &["galvanised", "steel", "stainless", "copper", "forged"],
                finishes: &[
                    "sharpened before it leaves",
                    "balanced for a long afternoon",
                    "riveted",
                ],
                forms: &[
                    form("trowel", 19, "Marked in centimetres for planting bulbs"),
                    form("hand fork", 19, "Loosens soil and leaves the roots"),
                    form("spade", 55, "A tread for the boot and a blade that keeps its edge"),
                    form("rake", 39, "Gathers leaves and passes over the lawn"),
                    form("watering can", 45, "Nine litres, a fine rose, a spout that reaches"),
                ],
            },
            Family {
                materials: &["terracotta", "stoneware", "zinc", "cedar"],
                finishes: &[
                    "proof against frost",
                    "drained by three holes",
                    "paler with the years",
                ],
                forms: &[
                    form("flower pot", 16, "Room for a geranium, or for basil on the sill"),
                    form("planter", 65, "Deep enough for tomatoes"),
                    form("bird bath", 89, "Shallow at the rim, as blackbirds like it"),
                    form("herb trough", 38, "Five herbs in a row beside the kitchen door"),
                    form("seed tray", 22, "Twenty-four cells and a lid that breathes"),
                ],
            },
        ],
    },
    Shelf {
        slug: "kitchen",
        name: "Kitchen",
        makers: &["Harlow", "Brindle", "Ravensworth", "Fennimore", "Oakhanger", "Tippett"],
        families: &[
            Family {
                materials: &["walnut", "oak", "beech", "olive wood", "cherry"],
                finishes: &["oiled by hand", "sanded smooth and left bare", "cut along the grain"],
                forms: &[
                    form("cheese board", 34, "For cheese, fruit and a small knife"),
                    form("chopping board", 45, "Heavy enough to stay where it is put"),
                    form("rolling pin", 24, "No handles, so that the hands feel the dough"),
                    form("wooden spoon", 9, "Reaches the corners of the pan"),
                    form("bread bin", 59, "Keeps a loaf four days"),
                ],
            },
            Family {
                materials: &["steel", "cast iron", "copper", "carbon steel"],
                finishes: &["ready for the hob", "ground to an even base", "seasoned twice"],
                forms: &[
                    form("frying pan", 69, "Browns evenly and goes into the oven"),
                    form("saucepan", 59, "Two litres, with a rim that pours"),
                    form("casserole", 129, "From the hob to the oven to the table"),
                    form("ladle", 17, "One bowl of soup, to the line"),
                    form("griddle", 45, "Four pancakes at a time, turned with room to spare"),
                ],
            },
        ],
    },
    Shelf {
        slug: "lighting",
        name: "Lighting",
        makers: &["Lumley", "Halden", "Wickstead", "Glimmerstone", "Vesper & Row", "Candlewick"],
        families: &[
            Family {
                materials: &["brass", "blackened steel", "opal glass", "smoked glass", "copper"],
                finishes: &[
                    "wired with a woven cable",
                    "polished and left to dull",
                    "spun in one piece",
                ],
                forms: &[
                    form("pendant lamp", 145, "Hangs low over a table and dazzles nobody"),
                    form("desk lamp", 95, "Bends where one points it and stays there"),
                    form("floor lamp", 210, "Reads over a shoulder from behind a chair"),
                    form("wall lamp", 85, "Throws its light up, and down the stairs"),
                    form("lantern", 55, "Carries a candle through the wind"),
                ],
            },
            Family {
                materials: &["beeswax", "soy wax", "rapeseed wax"],
                finishes: &["with a cotton wick", "poured by hand", "burning without smoke"],
                forms: &[
                    form("dinner candle", 5, "Seven hours, which is most dinners"),
                    form("pillar candle", 14, "Fifty hours, from autumn to spring"),
                    form("tea light", 4, "Four hours under a pot, or in a window"),
                    form("jar candle", 22, "A lid to put it out and to keep it clean"),
                    form("garden torch", 18, "Stands in grass and minds no drizzle"),
                    form("travel candle", 12, "A small tin for rooms that are not home"),
                ],
            },
        ],
    },
    Shelf {
        slug: "pets",
        name: "Dogs and cats",
        makers: &["Barkley Mill", "Whiskerow", "Pawley", "Tansy & Tom", "Fetchwell", "Moggridge"],
        families: &[
            Family {
                materials: &["rope", "leather", "webbing", "waxed cotton", "reflective"],
                finishes: &[
                    "tested on a large and willing dog",
                    "with solid brass rings",
                    "sewn flat",
                ],
                forms: &[
                    form("lead", 24, "A metre and a half, with a loop for the wrist"),
                    form("collar", 19, "Five holes, and room for a name"),
                    form("harness", 39, "Spreads the pull over the chest"),
                    form("tug toy", 11, "Lasts longer than the game"),
                    form("training lead", 32, "Ten metres of confidence"),
                ],
            },
            Family {
                materials: &["felt", "wool", "corduroy", "rattan"],
                finishes: &[
                    "with a cover that comes off",
                    "filled with recycled fibre",
                    "washable",
                ],
                forms: &[
                    form("cat cave", 45, "Dark inside, with a view of the door"),
                    form("pet bed", 69, "High at the back, low at the front"),
                    form("play mouse", 6, "Comes back from under the cupboard, mostly"),
                    form("travel mat", 35, "Rolls up, and smells of home anywhere"),
                    form("window perch", 49, "Holds seven kilograms of cat"),
                ],
            },
        ],
    },
    Shelf {
        slug: "stationery",
        name: "Stationery",
        makers: &["Quillby", "Foolscap", "Marginal", "Inkerman", "Vellacott", "Deckle & Son"],
        families: &[
            Family {
                materials: &[
                    "linen-bound",
                    "cloth-bound",
                    "recycled",
                    "cotton paper",
                    "leather-bound",
                ],
                finishes: &["opening flat", "sewn in sections", "taking ink without bleeding"],
                forms: &[
                    form("notebook", 16, "Two hundred numbered pages and two ribbons"),
                    form("diary", 24, "A week on the left, notes on the right"),
                    form("sketchbook", 19, "Heavy paper for pencil, ink and a light wash"),
                    form("address book", 21, "For what should outlive a telephone"),
                    form("guest book", 38, "For a wedding, or for a hut in the hills"),
                ],
            },
            Family {
                materials: &["brass", "walnut", "black steel", "maple"],
                finishes: &["heavy in the hand", "turned on a lathe", "warmer with use"],
                forms: &[
                    form("ballpoint pen", 29, "Takes the refills that every shop has"),
                    form("fountain pen", 89, "A medium nib that forgives a slanted hand"),
                    form("pencil holder", 26, "Keeps twelve pencils upright and one rubber near"),
                    form("ruler", 13, "Thirty centimetres that start at the very edge"),
                    form("letter opener", 22, "Opens bills and other news cleanly"),
                ],
            },
        ],
    },
    Shelf {
        slug: "tableware",
        name: "Tableware",
        makers: &["Claybrook", "Potterne", "Kilnsea", "Maidwell", "Ashfordby", "Slipware & Co"],
        families: &[
            Family {
                materials: &[
                    "stoneware",
                    "porcelain",
                    "earthenware",
                    "speckled clay",
                    "bone china",
                ],
                finishes: &["glazed by hand", "no two quite alike", "safe in the dishwasher"],
                forms: &[
                    form("dinner plate", 19, "A low rim that keeps the sauce"),
                    form("soup bowl", 17, "Deep, and warm to hold"),
                    form("mug", 14, "A third of a litre, and a handle for three fingers"),
                    form("teapot", 49, "Pours to the last drop without one on the cloth"),
                    form("serving dish", 42, "Carries a roast, and looks well when it is gone"),
                ],
            },
            Family {
                materials: &["crystal", "recycled glass", "smoked glass", "hand-blown"],
                finishes: &["clear to the foot", "thin at the rim", "with a bubble here and there"],
                forms: &[
                    form("tumbler", 9, "Water by day and whisky by night"),
                    form("wine glass", 15, "A bowl that suits the red and forgives the white"),
                    form("carafe", 32, "A litre, with a neck that fits the hand"),
                    form("dessert bowl", 11, "Shows the layers"),
                    form("cake stand", 55, "Raises a plain cake to an occasion"),
                ],
            },
        ],
    },
    Shelf {
        slug: "textiles",
        name: "Textiles",
        makers: &["Loomis & Wray", "Selvedge", "Weftwick", "Dunmore", "Carding Mill", "Heddle"],
        families: &[
            Family {
                materials: &["linen", "organic cotton", "percale", "flannel"],
                finishes: &["softer with each wash", "dyed in the yarn", "certified by its label"],
                forms: &[
                    form("duvet cover", 95, "Buttons at the foot and corners that hold"),
                    form("pillowcase", 24, "A flap inside, so that nothing slips out"),
                    form("fitted sheet", 52, "Deep enough for a thick mattress"),
                    form("tablecloth", 65, "Seats six, and hides the marks of last time"),
                    form("apron", 34, "Two pockets and a loop for a towel"),
                    form("tea towel", 11, "Dries glasses without leaving fluff"),
                ],
            },
            Family {
                materials: &["lambswool", "mohair", "alpaca", "merino"],
                finishes: &["brushed on both sides", "spun from undyed fleece", "fringed by hand"],
                forms: &[
                    form("throw", 89, "For the arm of a sofa, until evening"),
                    form("cushion", 45, "Plump, with a hidden zip"),
                    form("scarf", 55, "Twice around, and both ends in the coat"),
                    form("bed socks", 19, "For whoever says that their feet are warm"),
                    form("hot-water bottle cover", 26, "Keeps a litre and a half warm until three"),
                ],
            },
        ],
    },
    Shelf {
        slug: "toys",
        name: "Toys and games",
        makers: &["Tumbledown", "Merrigold", "Jackstraw", "Hobbin", "Piper & Pym", "Spindlewood"],
        families: &[
            Family {
                materials: &["beech", "maple", "lime wood", "birch"],
                finishes: &[
                    "painted with colours safe to chew",
                    "rounded at every corner",
                    "waxed",
                ],
                forms: &[
                    form("building blocks", 39, "Fifty of them, and a bag for afterwards"),
                    form("train set", 59, "A figure of eight, and a bridge to crash under"),
                    form("puzzle", 18, "Forty pieces, and the box to check against"),
                    form("spinning top", 9, "Two minutes, if the floor is level"),
                    form("chess set", 75, "Weighted pieces, felted below"),
                    form("pull-along duck", 25, "Waddles after whoever can just walk"),
                ],
            },
            Family {
                materials: &["knitted", "felt", "linen", "plush"],
                finishes: &[
                    "filled with wool",
                    "eyes embroidered, not glued",
                    "washable at thirty",
                ],
                forms: &[
                    form("bear", 35, "Sits by itself and keeps secrets"),
                    form("rabbit", 29, "Ears long enough to be carried by"),
                    form("hand puppet", 19, "A mouth that opens, for arguments"),
                    form("rag doll", 32, "A pocket in its dress, and a letter to go in it"),
                    form("mobile", 39, "Turns above a cot, slowly, and is watched"),
                ],
            },
        ],
    },
    Shelf {
        slug: "workshop",
        name: "Workshop",
        makers: &["Anvilow", "Burrside", "Tenon & Pegg", "Mallard Forge", "Truesquare", "Gimlet"],
        families: &[
            Family {
                materials: &["forged", "chrome", "tempered steel", "insulated", "stainless"],
                finishes: &[
                    "hardened at the tip",
                    "guaranteed for life",
                    "with a grip that stays dry",
                ],
                forms: &[
                    form("hammer", 29, "Sixteen ounces, for nails and for persuasion"),
                    form("screwdriver", 12, "Fits the slot and does not slip out of it"),
                    form("pliers", 24, "Grips round things, and cuts soft wire"),
                    form("chisel", 27, "Takes an edge that shaves"),
                    form("spanner", 16, "Opens to thirty millimetres and reads in both units"),
                ],
            },
            Family {
                materials: &["beech", "oak", "birch", "steel"],
                finishes: &[
                    "joined for good",
                    "level to half a millimetre",
                    "built to be leant on",
                ],
                forms: &[
                    form("tool box", 65, "A tray on top, the heavy things below"),
                    form("workbench", 345, "A vice at one end, and mass at the other"),
                    form("saw horse", 49, "Folds, carries two hundred kilograms"),
                    form("step stool", 79, "Two steps to the top shelf"),
                    form("tool rack", 39, "A place for each, so that one sees what is missing"),
                ],
            },
        ],
    },
];
