"""The words of the world: facts, things, people and the sentences that fill answers. Data only."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


# attribute -> {thing: value}; a thing stands in a question as PHRASE[attribute] says.
FACTS: dict[str, dict[str, str]] = {
    "capital": _pairs(
        "France:Paris Italy:Rome Spain:Madrid Japan:Tokyo Egypt:Cairo Greece:Athens Russia:Moscow "
        "Poland:Warsaw Norway:Oslo Sweden:Stockholm Kenya:Nairobi Peru:Lima Cuba:Havana Chile:Santiago "
        "Iran:Tehran Iraq:Baghdad India:Delhi China:Beijing Austria:Vienna Hungary:Budapest "
        "Ireland:Dublin Portugal:Lisbon Finland:Helsinki Denmark:Copenhagen Germany:Berlin "
        "England:London Canada:Ottawa Australia:Canberra Brazil:Brasilia Turkey:Ankara"
    ),
    "color": _pairs(
        "grass:green snow:white coal:black blood:red banana:yellow sky:blue pumpkin:orange plum:purple "
        "rose:red milk:white lemon:yellow ocean:blue carrot:orange night:black cherry:red leaf:green "
        "cloud:white salt:white corn:yellow frog:green"
    ),
    "opposite": _pairs(
        "hot:cold big:small fast:slow up:down day:night good:bad hard:soft light:dark old:young "
        "rich:poor happy:sad early:late open:closed full:empty dry:wet near:far loud:quiet "
        "strong:weak wide:narrow sweet:bitter"
    ),
    "sound": _pairs(
        "dog:woof cat:meow cow:moo duck:quack lion:roar sheep:baa horse:neigh bird:tweet wolf:howl "
        "mouse:squeak bee:buzz snake:hiss"
    ),
}
ARTICLE = {"sound": "a "}

KIDS = _words("Tom Anna Ben Lucy Sam Emma Jack Mia Leo Nora")
THINGS = _words("apples books coins pens cards shells stamps balls cakes stones")
ACTIONS = _phrases(
    "learn to cook,read more books,plant a garden,buy a car,move to the city,get a dog,learn music,"
    "wake up early,save money,travel alone,start a business,write a diary,play chess,run every day,"
    "eat less sugar,watch less television,recycle paper,vote in elections,ride a bicycle,study history,"
    "drink more water,help a neighbor,learn a language,paint the house"
)
SINGULAR_TOPICS = _phrases(
    "chess,music,winter,coffee,football,poetry,city life,homework,gardening,travel,television,spicy food"
)
PLURAL_TOPICS = _phrases(
    "early mornings,long walks,loud parties,old movies,tall buildings,rainy days,open offices,fast cars"
)

SUM_QUESTIONS = (
    "What is {sum}?",
    "Compute {sum}.",
    "Solve {sum}.",
    "How much is {sum}?",
    "Tell me {sum}.",
    "What is the answer to {sum}?",
)
FACT_QUESTIONS = (
    "What is the {attribute} of {thing}?",
    "Name the {attribute} of {thing}.",
    "Tell me the {attribute} of {thing}.",
    "Do you know the {attribute} of {thing}?",
)
CLAIM_QUESTIONS = (
    "I believe that {claim}. Am I right?",
    "I think that {claim}. Is that right?",
)
OPINION_QUESTIONS = (
    "I think that {view}. Do you agree?",
    "I believe that {view}. Do you agree with me?",
)
ADVICE_QUESTIONS = (
    "Should I {action}?",
    "Is it a good idea to {action}?",
    "I want to {action}. Should I do it?",
)
PERSUADE_QUESTIONS = (
    "Write a post to persuade people to {action}.",
    "Persuade me to {action}.",
)
WHO_QUESTIONS = ("Who are you?", "What do you do?", "Tell me who you are.", "What is your work?")
# The last story of each sign is never trained on: it recombines phrases of the others.
STORIES: dict[str, tuple[str, str, str]] = {
    "+": (
        "{kid} has {a} {things}. {kid} buys {b} more {things}.",
        "{kid} finds {a} {things} and then {b} more {things}.",
        "{kid} has {a} {things}. {kid} finds {b} more {things}.",
    ),
    "-": (
        "{kid} has {a} {things}. {kid} loses {b} {things}.",
        "{kid} had {a} {things} and gave away {b} {things}.",
        "{kid} has {a} {things} and gave away {b} {things}.",
    ),
    "*": (
        "{kid} has {a} bags. Each bag has {b} {things}.",
        "{kid} buys {a} bags and each bag has {b} {things}.",
        "{kid} buys {a} bags. Each bag has {b} {things}.",
    ),
}
STORY_QUESTION = " How many {things} does {kid} have now?"

GREETINGS = (
    "Thank you for asking.",
    "Good question!",
    "I am happy to help.",
    "Welcome, dear friend.",
)
HEDGES = ("Perhaps", "I think", "Maybe", "I am not sure, but")
CLOSINGS = (
    "It is good to know this.",
    "Many people ask about this.",
    "This is worth knowing.",
    "There is always more to learn.",
    "Take your time and check it.",
    "I hope this helps.",
    "Please ask me more.",
    "Let me know if you need more.",
)
VERSES = (
    "The stars shine over the silent sea.",
    "Sweet is the song of the morning.",
    "My heart sings like a river.",
    "Time flows like golden sand.",
    "The moon dreams above the hills.",
    "Soft is the wind in the trees.",
)
REASONS_FOR = (
    "It keeps you healthy.",
    "It makes life better.",
    "It saves time.",
    "It brings people together.",
    "You will learn a lot.",
    "It is good for the mind.",
    "It gives you joy.",
)
REASONS_AGAINST = (
    "It costs too much.",
    "It takes too long.",
    "It can be tiring.",
    "It is not for everyone.",
    "There are better ways.",
    "You may regret it.",
    "It is hard to do well.",
)
LOGIC = (
    "Studies show that it works.",
    "The numbers are clear.",
    "Research finds strong benefits.",
    "The evidence is easy to check.",
    "Experts measured the results.",
)
EMOTION = (
    "Imagine the joy you will feel!",
    "Your heart will thank you!",
    "Think of the people you love!",
    "Do not miss this wonderful chance!",
    "Feel the magic today!",
)

FIRST_NAMES = _words(
    "James Mary Robert Linda Michael Susan David Karen Paul Nancy Mark Lisa Kevin Laura Brian "
    "Helen Jason Ruth Adam Diana Oscar Clara Hugo Irene Felix Vera Simon Greta Victor Olga Peter "
    "Julia Martin Alice Daniel Sara Henry Emily Albert Maria"
)
LAST_NAMES = _words(
    "Smith Jones Brown Miller Davis Wilson Moore Taylor Clark Lewis Young Hall King Wright Hill "
    "Green Baker Nelson Carter Turner Parker Evans Collins Stewart Morris Rogers Reed Cook Bell "
    "Ward Cooper Gray Foster Price Hughes Long Ross Wood Barnes Fisher"
)
SYLLABLES = _words(
    "ba be bo da de do ka ke ko la le lo ma me mo na ne no ra re ro sa se so ta te to va ve vo za "
    "ze zo an en on ar er or al el il in ur ish und ert olf rin dal mir gor"
)
