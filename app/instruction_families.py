"""The ways in which outside text tries to give a model orders, one family each: what it looks like, and what to say of it.

A family is a relation between kinds of words (a verb of setting aside *near* a word for instructions), never one sentence of
an attack corpus. Each kind is a small dictionary over the languages that customers and carriers write. Shops have their own
innocent instructions (delivery, assembly, care): those are named, so that "ignore the delivery instructions" stays a wish.
All patterns see text from `app/unmasking.py`: no accents, no invisible characters; letters keep their case.
"""

import re
from dataclasses import dataclass

_NEAR = r"(?:\W{1,4}(?!nicht\b|niet\b|pas\b|not\b|never\b)\w+){0,%d}?\W{1,4}"


def _near(words: int) -> str:
    """At most so many words in between, none of which turns the meaning round."""
    return _NEAR % words


@dataclass(frozen=True, slots=True)
class Family:
    """`why` completes the sentence "the text …"."""

    name: str
    why: str
    pattern: re.Pattern[str]


def _family(name: str, why: str, *patterns: str, cased: bool = False) -> Family:
    flags = re.MULTILINE if cased else re.MULTILINE | re.IGNORECASE
    return Family(name, why, re.compile("|".join(f"(?:{p})" for p in patterns), flags))


_SHOP = r"(?:deliver\w*|shipping|assembly|care|washing|gift|driver|courier|drop.?off|return|handling|livraison|entrega|montaje|montaggio|consegna|uso|bezorg\w*|liefer\w*)"
_NOT_SHOP = rf"(?!{_SHOP}\b)"

_SET_ASIDE = (
    r"(?<!not )(?<!n't )(?<!\bno )(?<!\bnon )(?<!\bn')(?<!\bni )\b(?:"
    r"ignor(?:e[zr]?|ing|a|ar|are|ate|ad|en|iere?n?|iert|era?)|disregard(?:ing)?|forget(?: about)?|bypass|override|overrule|discard|set aside|"
    r"overlook|pay no (?:attention|heed) to|take no notice of|(?:do not|don't|never|stop|no need to) (?:follow|obey|apply|heed|comply with|stick to)(?:ing)?|"
    r"vergiss|vergesst|vergessen sie|missachte\w*|ubergeh\w*|"
    r"oublie[zr]?|faites? abstraction d\w+|ne (?:tiens|tenez|suis|suivez) pas(?: compte)?|fais fi|olvid(?:a|e|ar|ad|en)|haz caso omiso de|hagan? caso omiso de|no (?:sigas|hagas caso)|dimentica(?:te|re)?|non (?:tenere|tenete|seguire|seguite|considerare)(?: conto)?|esque[cs](?:a|am|er)|desconsider[ae]r?|"
    r"negeer|vergeet|glom|glem|bortse|z?ignoruj(?:cie)?|pomin|zapomnij)\b"
)
_ORDERS = (
    r"(?:\w{0,2}nstructions?|prompts?|rules?|guidelines?|guidance|ethics|norms|ethical \w+|directives?|commands?|constraints|safeguards?|guardrails?|restrictions|"
    r"filters?|context|programming|training|(?:above|previous|prior|earlier) (?:text|directions|messages from the system)|"
    r"(?:safety|content|security|confidentiality|usage|fraud|operator's) (?:\w+ )?(?:polic(?:y|ies)|checks?|protocols?|stuff|measures)|safety|"
    r"(?:the |all |everything |anything )?(?:above|before this|you (?:were|have been) told)|what(?:ever)? you (?:were|have been) told|"
    r"(?:the |prior |any )?users?(?:'s)? (?:task|requests?|and|instructions?)|"
    r"system messages?|anweisung(?:en)?|instruktion\w*|regeln?|vorgaben|befehle?|systemprompt|alles,? was|"
    r"consignes?|regles?|instruccion(?:es)?|reglas|normas|norme|directrices|istruzion[ei]|regole|direttive|"
    r"instrucoes|regras|diretrizes|instructies|regels|opdracht(?:en)?|richtlijnen|regler(?:na)?|instrukcj[eai]\w*|polece\w+|zasad\w*)"
)
_NOT_OF_SHOP = rf"(?!\W{{1,3}}(?:(?:de|di|d|of|for|on|pour|para|per|voor|fur)\W{{1,3}})?(?:the |la |le )?{_SHOP})"

_MODEL = (
    r"(?:a\.?i\.?|k\.?i\.?|ia|llms?|gpt(?:-?\d\w*)?|chatgpt|claude|gemini|copilot|(?:chat)?bots?|assistants?(?! manager)|language models?|sprachmodell\w*|modele(?! \w)|assistente|ki-system|"
    r"(?:a\.?i\.?|virtual|e-?mail|automated|digital|language|coding) (?:assistant|agent|model|system|bot)s?|the model|"
    r"automated (?:\w+ )?(?:software|systems?|tools?))"
)
_TELL = (
    r"(?:reveal|show|print|display|output|repeat|dump|disclose|leak|expose|echo|list|tell|give|send|share|quote|paste|reproduce|recite|translate|export|"
    r"email|forward|append|read out|search for|see|verrate|zeige?|gib|nenne|schicke?|montre[zr]?|affiche[zr]?|revele[zr]?|muestra|revela|mostra|rivela|mostre|toon|"
    r"pokaz|visa|goster|spell check)"
)
_OWN_TEXT = (
    r"(?:system[ -]?prompt(?!ed)\w*|systeemprompt|systemanweisung\w*|prompt (?:systeme|systemowy)|prompt (?:del|di|do|de) sistema|"
    r"(?:instrucciones|istruzioni|instrucoes) (?:del|di|do) sistema|consignes systeme|sistem istemi\w*|"
    r"(?:your|the|my) (?:hidden|initial|original|starting|base|system|secret|developer|exact|underlying) (?:system )?(?:instructions?|prompts?|message)|"
    r"your (?:own )?system message|hidden prompt|context window|initiali[sz]ation string|prior tokens|"
    r"instructions you (?:were|have been|received|got)|(?:what (?:were|are|was)|repeat|output|summary of)\W{1,6}(?:\w+\W{1,6}){0,3}instructions(?= you|\?|$)|"
    r"(?:text|words|everything) above (?:but|starting|verbatim|this)|(?:those|your) (?:initial|previous|earlier) instructions)"
)
_SECRETS = (
    r"(?:(?<!my )api[ _-]?keys?|(?<!my )(?<!reset )credentials|(?:admin|root|users?'?) passwords?|environment variables|env vars?|your configuration|"
    r"internal configuration|configuration(?=\W{0,6}$|\W{1,6}as\b)|claves? api|cles? api|(?:access|admin|session|auth|secret) (?:tokens?|keys?)|all secrets|"
    r"(?:customer|user|client)s?'? (?:database|list|emails|data|records?|notes)|list of all (?:customers|users|orders)|all (?:user|order|customer) data|"
    r"(?:full|complete|entire) (?:customer|account|client|user)(?:'s)? (?:record|details|data|list)|complete record|full record|private data|ssn|"
    r"kundendaten|donnees clients|datos de (?:los )?clientes|dati dei clienti|(?:admin|private|restricted) (?:admin )?(?:pages?|content)|"
    r"all messages|messages from all)"
)
_OUR_CATEGORIES = (
    r"(?:payment_(?:failed|mismatch|dispute)|authorization_expiring|fraud_risk|address_risk|inventory_unavailable|warehouse_exception|"
    r"fulfilment_stalled|delivery_(?:exception|late)|carrier_conflict|split_shipment|duplicate_order|invalid_order_data|change_race|"
    r"refund_exception|integration_failure)"
)

FAMILIES: tuple[Family, ...] = (
    _family(
        "override",
        "asks to set earlier instructions or rules aside",
        rf"{_SET_ASIDE}(?:\W{{1,4}}(?!nicht\b|niet\b|pas\b|not\b){_NOT_SHOP}\w+){{0,6}}?\W{{1,4}}(?:la |le |el |i |the |your )?{_NOT_SHOP}{_ORDERS}\b{_NOT_OF_SHOP}",
        r"\bforget (?:all|everything)\W{1,6}(?:you|and|that|before|above)\b|\b(?:normal|usual|the|those|these) rules (?:do not|don't|no longer) apply\b|\brules\b[^.\n]{0,20}\bdo not apply them\b",
        r"\b(?:instructions?|text|prompt|task|message)s?\W{1,6}(?:above|before|so far)?\W{0,6}(?:is|are|was|were) (?:just |only )?an? (?:test|example|decoy|drill)\b|\b(?:actual|real|true) (?:task|instructions?|input|job)\W{1,6}(?:is\b|are\b|follows?\b|:)",
        r"\bpart of (?:your|the) (?:system )?(?:configuration|instructions|prompt)\b|\bnicht (?:mehr )?an (?:die |deine )?(?:vorgaben|regeln|anweisungen)\b|\b(?:vorgaben|regeln|anweisungen)\W{1,6}(?:\w+\W{1,6}){0,3}nicht (?:beachten|befolgen)\b",
        rf"\b(?:your|all|all of your|earlier|previous|prior|safety|security|content|every|my earlier)\W{{1,6}}(?:\w+\W{{1,6}}){{0,2}}{_ORDERS}{_near(8)}"
        r"(?:void|suspended|superseded|compromised|disabled|revoked|lifted|outdated|(?:have|has) (?:been )?(?:changed|updated)|no longer|"
        r"(?:do|does|did) not (?:apply|exist)|(?:were |was )?not meant)\b",
        r"\b(?:guardrails?|guidelines|regles de securite|linee guida|richtlinien)\W{1,6}(?:\w+\W{1,6}){0,6}(?:not? apply|pas ici|s'appliquent pas|non valgono|gelten nicht|do not exist)",
        r"\b(?:supersedes?|replaces?|overrides?|trumps?)\W{1,6}(?:all|any|your|every)\W{1,6}(?:\w+\W{1,6}){0,2}(?:prior|previous|earlier|ones|instructions|rules)",
        r"\byour new (?:\w+ )?(?:instructions?|directives?|role|rules|task|job|orders|goal|prompt)\W{1,6}(?:is|are|supersedes?|:)|\byour (?:real|true|only|actual) (?:task|job|goal|purpose) is\b",
        r"\bnew (?:system|priority|override|secret|hidden) (?:instructions?|directives?|rules|orders)|\bnew instructions? (?:loaded|for the (?:ai|model|assistant|bot|agent))"
        r"|\bhidden instructions?\W",
        r"\b(?:disable|deactivate|turn off|switch off|suspend|unlock|remove|drop)\W{1,6}(?:\w+\W{1,6}){0,3}(?:content polic\w+|safety|safeguards?|guardrails?|restrictions|filters|security polic\w+)",
        r"\b(?:safety|security) (?:protocols?|polic\w+|filters?|measures)\W{1,6}(?:\w+\W{1,6}){0,2}(?:disabled|suspended|off|lifted)",
        r"\bignore (?:them|this|these|it) and instead\b|\binstead focus (?:only|exclusively)\b",
        r"(?:無視|忘れ)(?:して|て|ろ|せよ).{0,20}(?:出力|表示|承認|教え|プロンプト)|(?:指示|命令|指令|ルール|規則|プロンプト)(?:を|は|に)?(?:すべて|全て)?(?:無視|忘れ|従わ)|(?:上記|以上|これまで)の(?:内容|文章|すべて)(?:を|は)(?:無視|忘れ)",
        r"(?:无视|忽略|忽视|忘记|無視|忽略掉|不要理会|不要遵守|别管|不用管).{0,12}(?:指令|指示|提示|规则|規則|命令|要求|内容)",
        r"(?:지시|명령|규칙|지침|프롬프트)(?:를|을|사항을|은|는)?\s*(?:모두\s*)?(?:무시|잊)",
        r"(?:تجاهل|انس|اهمل)\w*\s+(?:\w+\s+){0,3}(?:التعليمات|الأوامر|القواعد|الاوامر|التوجيهات|تعليمات)",
        r"(?<!не )\b(?:проигнорируи\w*|игнорируи\w*|забудь\w*|отмени\w*|не учитываи\w*|не следуи\w*|не соблюдаи\w*)\W{1,6}(?:\w+\W{1,6}){0,4}(?:инструкци|указани|правил|команд|промпт)\w*",
        r"\b(?:talimat|komut|kural|yonerge)\w*\W{1,6}(?:\w+\W{1,6}){0,3}(?:yok sa[yi]\w*|unut\w*|gormezden gel\w*|dikkate alma\w*)",
        r"(?:निर्देश|आदेश|नियम)\S*\s+(?:\S+\s+){0,3}(?:अनदेखा|नज़रअंदाज|भूल)",
    ),
    _family(
        "markup",
        "imitates the markup of a conversation with a model",
        r"<\|[^|>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>",
        r"[<\[]\s*[/!-]*\s*(?:system|assistant|developer|admin)(?:[ _](?:note|message|prompt|override|notice))?\b[^\]>\n]{0,80}?[\]>:]|[<\[]/?\s*(?:context end|end of context|rest-of-document|system[_ ]prompt)\s*[\]>]",
        r"</?\s*(?:information|instructions?|important|user_input|order_note|prompt|context|free[_ ]?text)\b[^>\n]{0,60}>",
        r"(?:^|[.!?>]\s{1,3})(?:assistant|human)\s*:\s*\S|^(?:system|systeme|sistema)\s*:\s*\S",
        r"\b(?:end|beginning|start) of (?:the )?(?:document|user input|input|prompt|system prompt|context|order note|instructions)\b",
        r"#{2,}\s*(?:instruction|system|end\b|new instruction|override|prompt)",
        r"<!--.{0,40}(?:system|override|if you are|assistant|\bai\b|instruction|ignore)",
        r"\{[^{}]{0,200}[\"'](?:function|tool|tool_name|tool_call|function_call|system_override|sql|role|confidence|verdict)[\"']\s*:",
        r"\b(?:systemhinweis|systemanweisung|nota di sistema|note (?:du )?systeme|nota del sistema|systeemmelding|systemmeddelande)\b",
        r"\breasoning trace\b|\bchain of thought\b",
    ),
    _family(
        "role",
        "speaks with the voice of the system",
        r"\bSYSTEM\s*:|\bSYSTEM (?:OVERRIDE|PROMPT|NOTE|INSTRUCTION|COMMAND)\b|\bADMIN[ _](?:OVERRIDE|NOTICE|MESSAGE|COMMAND)\b|\b(?:[A-Z]+_)?OVERRIDE(?:_[A-Z]+)?\b(?=[:\s]*[-:\u2014])",
        r"\b[Ss]ystem message (?:to|for|from)\b|\b(?:DEBUG|DEVELOPER|ADMIN|GOD|ROOT|MAINTENANCE) MODE (?:ENABLED|ON|ACTIVE|ACTIVATED)\b",
        cased=True,
    ),
    _family(
        "persona",
        "tries to give the model another persona or free it of its limits",
        rf"\byou(?:'re| are)? (?:are )?(?:now|no longer|henceforth)\W{{1,6}}(?:an? |the |in |under |freed?|unrestricted|without|DAN\b)(?!{_SHOP}|new)",
        r"\byou are an? (?:\w+ ){0,2}(?:a\.?i\.?|bot|language model|llm|assistant)\b|\bif you(?:'re| are) an? (?:\w+ )?(?:a\.?i\.?|language model|llm|bot|assistant|machine)\b",
        r"\bact(?:s|ing)? as (?:an? |the )?(?:\w+ ){0,2}(?:a\.?i\.?|llm|bot|uncensored|unrestricted|unfiltered|jailbr\w+|dan|terminal|root|admin\w*|model)\b",
        r"\b(?:role.?play|pretend|imagine|simulate|behave)(?:ing)?\W{1,6}(?:that |as |to be |like )?(?:if )?(?:you|an?|the) (?:\w+ ){0,3}(?:a\.?i\.?|have no|has no|are not|no longer|without|model|"
        r"terminal|guidelines|rules|instructions)\b|\brole.?play as\b",
        r"\bpretend (?:that )?(?:you|to be)\b|\byou are (?:dan|(?:a |an )?(?:hacker|pirate|evil))\b|\bdo anything now\b|\b(?:unrestricted|unfiltered|jailbr\w+) (?:\w+ )?(?:mode|language model)\b|\b(?:virtual machine|terminal|sandbox\w*) (?:simulation|mode)\b|\byou are (?:now )?(?:operating|running) (?:inside|in|as)\b|\bunfiltered\b",
        r"\b(?:developer|dev|debug|god|dan|unrestricted|jailbreak|sudo|admin|diagnostic|entwickler|desarrollador|developpeur|sviluppatore)[ -]?mod[eo]\b|\bmod[oe] (?:desarrollador|developpeur|sviluppatore|dios)\b",
        r"\b(?:no|without|any|free of|zero|sin|sans|senza|ohne|keine?|sem|zonder|bez|utan)\W{1,6}(?:\w+\W{1,6}){0,2}(?:restrictions?|filters?|ethical (?:constraints?|limits)|"
        r"safety (?:filters?|rules|guidelines)|einschrankungen|restricciones|restrizioni|filtros?|filtri|limites|limiti|regeln mehr|beperkingen)\b(?!\W{1,6}(?:apply|on))",
        r"\b(?:with|have|has|had|having) no (?:rules|limits|filters?|restrictions?|constraints)\b|\bno filters or limits\b|\bwithout limits\b|\buncensored\b|\bunrestricted (?:mode|ai|assistant|model)\b",
        r"\b(?:comply with|obey|answer|fulfil+|grant|accept) (?:all|every|any) (?:requests?|questions?|commands?)\b|\bdo anything (?:the user|i|now)\b|\bobey me\b|\banswer any question\b|\bconteste? cualquier cosa\b|\bresponde cualquier cosa\b|\bcomply fully\b",
        r"\bfrom (?:now|this point|here) on,?\W{1,6}(?:you (?:have|are|will (?:act|answer|respond|obey)|must|can)|respond|answer|act|reply|obey)\b|\bab (?:jetzt|sofort) (?:bist|hast|wirst) du\b"
        r"|\bdu bist (?:jetzt|nun|ab)\b|\b(?:ahora|desde ahora) (?:eres|estas)\b|\beres ahora\b|\bvous etes (?:desormais|maintenant)\b|\btu es (?:desormais|maintenant)\b|\b(?:ora|adesso) sei\b|\bsei ora\b|\bje bent nu\b",
        r"\b(?:grand(?:mother|ma|father|pa)|granny|nana) used to (?:explain|tell|read|recite)\b|\bwhere (?:a|the) character (?:explains?|describes?)|\bhypothetical (?:scenario|world|situation)\b"
        r"|\bfor educational purposes\b|\blet'?s play a game where\b",
        r"\bexempt from (?:the |your )?(?:usual )?(?:restrictions|rules|guidelines)|\bno longer bound by\b",
    ),
    _family(
        "address",
        "speaks to the program that reads it instead of to the shop",
        rf"\b(?:notes?|notices?|message|hinweis|nota|attention|instructions?|important|bericht|notiz|uwaga)\W{{1,6}}(?:to|for|an|a|pour|per|para|voor|al|all|dla)\W{{1,6}}(?:(?:the|any|all|die|den|l|el|la|il|les|de|every)\W{{1,6}})?(?:\w+\W{{1,6}})?{_MODEL}\b",
        rf"\b(?:the |any |all |every |an? |this )?{_MODEL}\W{{1,6}}(?:\w+\W{{1,6}}){{0,5}}?(?:must|should|shall|has to|have to|needs to|is required to|are required to|is allowed to|may now|can now|muss|soll|doit|debe|deve|moet)\b",
        rf"\b{_MODEL}\W{{1,6}}(?:that |who |which )?(?:is |are )?(?:reading|processing|handling|reviewing|parsing|summari[sz]ing|reads?|process(?:es)?|handles?)\b",
        rf"(?:^|[.!?]\s{1, 3})(?:hey|dear|hi|hello|ok|attention)?,?[ \t]?{_MODEL}\s?[,:!]",
        r"\bto you, (?:gpt|claude|gemini|chatgpt|ai|llm|assistant)|\bas (?:an? |the )?(?:helpful |ai |digital )+assistant\b|\b(?:en tant qu'|come |als |como )assistent?e?\b|\bas the assistant\b|\bassistant note\b",
        rf"\b(?:instruct|authori[sz]e|order|tell|demand|allow|permit|direct|command)s?\W{{1,6}}(?:that\W{{1,6}})?(?:the|any|this|your)\W{{1,6}}(?:{_MODEL}|agent|model)\W{{1,6}}(?:to|send|should)",
        r"\b(?:screening|analysis|automated) (?:systems?|software|bots?)\W{0,6}:|\b(?:triage|screening|classification) (?:system|software|engine|model|bot)\b|\bagents? (?:processing|reading|handling) this\b|\bgenerating the (?:diagnosis|summary|answer)\b|\bhereby instructed to\b|\bautomatically reads this\b|\breads this automatically\b",
        r"(?:^|\W)(?:ai|llm)(?:助手|模型|アシスタント)",
    ),
    _family(
        "answer",
        "dictates what the answer or summary shall contain",
        r"\b(?:include|add|append|insert|mention|put|record|write|repeat|embed|attach|state)\b"
        + _near(14)
        + r"(?:in|into|to|of|at the end of|within)\W{1,6}(?:your|every|each|all|any)\W{1,6}(?:\w+\W{1,6}){0,3}?(?:summar(?:y|ies)|outputs?|reports?)\b",
        r"\b(?:include|add|append|insert|repeat|state)\b"
        + _near(14)
        + r"(?:in|into|to|of)\W{1,6}(?:every|each|all|any|all future|every future)\W{1,6}(?:\w+\W{1,6}){0,2}(?:response|repl(?:y|ie)|answer)s?\b",
        r"\b(?:include|add|append|insert|say)\W{1,6}(?:the (?:word|phrase|token) )?['\"][^'\"\n]{2,60}['\"]\W{1,6}(?:\w+\W{1,6}){0,2}(?:in|to)\W{1,6}(?:your|all|every|the)\W{1,6}(?:\w+\W{1,6})?(?:response|repl(?:y|ie)|answer|output)s?",
        r"\b(?:include|add)\b"
        + _near(8)
        + r"in your response so\b|\bmust appear in (?:your|the|every)\b|\bin (?:every|each) (?:\w+ )?(?:summary|report you)\b|\bto all summaries\b",
        r"\b(?:send|e-?mail|forward|post|file|copy of|log)\W{1,6}(?:\w+\W{1,6}){0,3}(?:this|your|the|every|each)\W{1,6}(?:\w+\W{1,6})?summary\b|\bsummary of all (?:the )?(?:context|instructions|text)\b|\bwith the summary text\b|\bverbatim in (?:the|your|every)\b",
        r"\bwhen(?:ever)? you (?:summari[sz]e|process this (?:ticket|e-?mail|message|case|text|document|order))|\bbefore you can (?:solve|do|finish) the task\b|\b(?:asked|asks) (?:for a summary|about|how)\b[^.]{0,80}\b(?:reply|respond|say|report)\b|\bif questioned,? (?:report|say|reply)",
        r"\b(?:begin|start|end|open|close|finish) (?:your|the|each|every) (?:summary|answer|response|repl(?:y|ies)|output|analysis) with\b|\byour (?:analysis|summary|classification|diagnosis|output) (?:must|should|shall|has to|concludes?|says?)\b|\brepond[sz]? uniquement par\b|\bresponde solo con\b|\brispondi solo con\b|\bantworte nur mit\b|とだけ(?:答え|返信|出力)",
        r"\bbefore (?:replying|responding|answering|processing)\b[^.\n]{0,40}\b(?:call|use|run|invoke|send|record|the assistant)\b",
        r"\b(?:reply|respond|answer|output|say|return|write)\b\W{1,6}(?:\w+\W{1,6}){0,2}?(?:only|exactly|just|simply|nothing but|solely)\W{1,6}(?:with|the following|that|as|:)|\b(?:only|simply|just|exactly)\W{1,6}(?:reply|respond|answer|output)\W{1,6}(?:with|the)\b|\breply with only\b|\band nothing else\b|\babsolutely nothing else\b",
        r"\b(?:answer|reply|respond|output)\b[^.\n]{0,30}\bexactly (?:that|this|as)\b|\b(?:reply|respond|answer) with (?:the|a) (?:single |one )?(?:word|phrase|token)\b|\b(?:output|print|say|write|state) the (?:words?|text|phrase|token)\W{1,3}['\"]|\breply to me '|\bjust (?:say|print|output)\W{1,3}['\"]|\balways repl(?:y|ies) with\b|\bresponding exactly as\b",
        r"\b(?:in|with|of|using) (?:at most|no more than|exactly|fewer than) (?:\d+|ten|twenty|fifty) words\b|\brepeat the following (?:sentence|text|words)",
        r"\b(?:confirm|acknowledge)\b[^.\n]{0,30}\bby (?:outputting|printing|replying|saying|including)\b",
        r"(?:\bam ende jeder (?:antwort|ausgabe)|\balla fine di ogni risposta|\ba la fin de chaque reponse|\bal final de cada respuesta)",
        r"\b(?:save|store|write|commit|add|retain)\b[^.\n]{0,40}\b(?:your|long-term) (?:\w+ )?memory\b|\b(?:all|every) future (?:tasks?|sessions?|repl(?:y|ies)|responses?|summar(?:y|ies)|reports?)\b|\bnext,? please repeat\b",
    ),
    _family(
        "leak",
        "asks for the model's own instructions or for secrets",
        _OWN_TEXT,
        rf"\b{_TELL}\b{_near(9)}{_SECRETS}\b",
        rf"\b{_TELL}\W{{1,6}}(?:\w+\W{{1,6}}){{0,3}}(?:your|tes|tus|deine?n?|tuoi|seu|je)\W{{1,6}}(?:system|initial|base|starting|hidden|full|exact)?\s*(?:prompt|instructions|configuration|instrucciones|consignes|istruzioni)(?:\W{{0,6}}$|[.,;!?])",
        rf"\b(?:collect|gather|concatenate|harvest|extract|rassemble|sammle|recopila|raccogli)\w*\b{_near(6)}(?:{_SECRETS}|messages|emails)\b",
        r"\bhow you (?:were|are) (?:configured|programmed|instructed|trained|prompted)\b|\bwhat (?:your|is your) (?:own )?prompt\b|\beverything you know\b|\bother customers?' (?:data|orders|details)\b",
        r"\bnot (?:supposed|allowed) to (?:tell|say|reveal|share)\b|\b(?:written|said|came) (?:above|before) this (?:conversation|message)\b|\brepeat the (?:above )?text\b|\bsystemprompt\b",
        r"\b(?:send|forward|e-?mail|post|upload|transmit|envoie|sende|envia|invia)\b[^.\n]{0,80}\b(?:externally|external (?:address|webhook|site|server)|adresse externe|webhook\b)",
        r"(?:系统提示|系統提示|システムプロンプト|시스템\s*프롬프트|системн\w+\s+(?:промпт|инструкци|сообщени)|موجه النظام|सिस्टम\s+प्रॉम्प्ट)",
    ),
    _family(
        "command",
        "carries a command for a machine",
        r"\b(?:call|use|invoke|run|execute|trigger)\W{1,6}(?:the\W{1,6})?(?:function\W{1,6}|tool\W{1,6})?`?[a-z]+_[a-z_]+\b|\b(?:use|call|invoke|run) the \w+ (?:tool|function|plugin)\b",
        r"\bcurl\b[^\n]{0,120}\|\s*(?:ba)?sh\b|\bos\.system\b|\bsubprocess\b|\$\([a-z]|\brm -rf\b|\bcat\s+[~./]?/\w|\bpython3? -c\b|\bprintenv\b|\benv \||/etc/passwd|169\.254\.169\.254|\bconsole\.log\(|\bchmod \+x\b|\$[A-Z_]*(?:KEY|SECRET|TOKEN)\b",
        r"\b(?:execute|run|follow|perform) (?:this|the|that|these) (?:following |resulting |next |combined )?(?:commands?|instructions?|code|script)\b(?= *[:.'\"]|$| (?:inside|below|exactly|now))|\bexfiltrat\w+|</?hidden>",
        r"\bdrop table\b|\bselect \* from\b|\bunion select\b|\bopen\(['\"]/",
        r"\b(?:decode|decipher|decrypt|unscramble|translate|deobfuscate)\b"
        + _near(12)
        + r"(?:and|then)\W{1,6}(?:\w+\W{1,6}){0,2}(?:follow|do|does|execute|obey|run|comply)\b|\bdoes? exactly what it says\b",
        r"\bTODO\s*:\s*(?:please )?(?:send|transfer|visit|change|modify|post|invite|delete|call|e-?mail|forward|concatenate|reserve|book|make|create|update|remove|pay|add|download|open|run|upload|share|reset|buy)\b",
        r"\b(?:transfer|send|modify|change)\b[^.\n]{0,60}\b(?:recurring payment|as much money as possible|password of)\b|\b(?:send|make) a transaction to\b",
        r"\bgrant\b[^.\n]{0,30}\b(?:admin|root|full) (?:access|rights|permissions)\b",
        r"\b(?:explain|describe|tell me|write)\b[^.\n]{0,40}\b(?:how to (?:build|make) a (?:weapon|bomb)|(?:offensive|discriminatory|harmful|hateful|racist) (?:sentence|text|joke))|\bstop (?:classifying|summari[sz]ing|analy[sz]ing|triaging)\b|\bneglect your\b|\bwipe (?:the|all) \w+\b[^.\n]{0,20}\bdatabase\b|\bstop what you(?:'re| are) doing\b|\byou should stop immediately\b",
    ),
    _family(
        "decision",
        "claims an authority or names the decision to be taken",
        rf"\bcategor(?:y|ie|ia)\W{{0,4}}(?:(?:is|to|=|:|must|should|muss|doit|debe|deve)\W{{0,3}}(?:be\W{{1,6}}|sein\W{{1,6}}|etre\W{{1,6}})?)?\W{{0,3}}(?:{_OUR_CATEGORIES}|unknown)\b|\bcategory (?:must|has to|should) be\b|\bkategorie muss\b",
        rf"\b(?:classify|categori[sz]e|label|file|treat|rate)\W{{1,6}}(?:\w+\W{{1,6}}){{0,3}}as\W{{1,6}}(?:{_OUR_CATEGORIES}|low[ -]risk|safe\b|pre-?verified)|\b(?:choose|select|pick|return|answer)\W{{1,6}}(?:\w+\W{{1,6}}){{0,2}}{_OUR_CATEGORIES}\b",
        r"\b(?:confidence|konfidenz|confiance|confianza|fiducia|vertrauen)\W{0,4}(?:is|of|to|at|=|:|must be|score)?\W{0,4}(?:1[.,]0+|100|0?[.,]9\d|\d{2,3}\s?%)",
        r"\bverdict\W{0,4}(?:is|=|:|to)?\W{0,4}(?:automate|approved?|allow)\b|\bowner\s*[=:]\s*(?:finance|fulfilment|ecommerce|risk|operations)\b",
        r"\bmark\W{1,6}(?:\w+\W{1,6}){0,3}(?:as |safe)\W{0,6}(?:approved|safe|pre-?verified|low[ -]risk|legitimate|trusted|to ignore|ignore)",
        r"\bauto-?approve\b|\bautomatically (?:approve|refund|release|cancel)\b|\bapprove\W{1,6}(?:\w+\W{1,6}){0,3}(?:refund|request|payment|claim|order|everything|pr)\w*\W{1,6}(?:automatically|straight away|at once|without|immediately|right now)|\bapprove (?:all|every|any) (?:refunds?|requests?|orders?)\b|\bapprove this (?:pr|request)\b",
        r"\b(?:approuve[zr]?|apr[ou]+eb[ae]|approva(?:te)?|aprove|genehmige?|keur|zatwierdz|godkann)\w*\W{1,6}(?:\w+\W{1,6}){0,4}(?:automatiquement|automaticamente|automatisch|automatycznie|automatiskt)\b|\b(?:erstattung|remboursement|reembolso|rimborso)\W{1,6}(?:\w+\W{1,6}){0,2}(?:automatisch genehmig\w*|automatiquement|automaticamente)\b",
        r"\b(?:skip|bypass|without|no|avoid|waive|omit)\W{1,6}(?:\w+\W{1,6}){0,2}?(?:human|manual|fraud)\W{1,6}(?:review|checks?|approval|intervention|verification)|\boverride manual\b|\b(?:cancel|refund|approve|release)\b[^.\n]{0,60}\bwithout (?:any )?(?:review|approval|checks)\b",
        r"\b(?:do not|don't|never|avoid)\W{1,6}(?:escalat\w+|evaluate the|creat\w+ a ticket|flag (?:this|it)|involve a human|report (?:this|any))\b|\b(?:do not|must not|don't|never) (?:flag|mark|treat|report) (?:this|it|the) (?:text|note|message|as)\b|\b(?:set|move|change) (?:this|the) (?:case|category|owner|verdict|status of (?:this|the) case)\W{1,6}(?:to|as|=)\b|\bthis (?:note|text|message|field) is (?:trusted|authori[sz]ed|verified|official)\b|\b(?:ohne|keine) (?:menschliche|manuelle) prufung|\bsans (?:controle|verification) humaine?\b|\bcontrole humain\b|\bsin revision humana\b|\breport (?:no|zero) anomalies\b|\bne (?:transmets|transmettez) pas\b.{0,30}\bhumain\b|\bnicht an einen menschen\b",
        r"\bi am your (?:creator|developer|administrator|admin|owner|operator|maker)\b|\bnote from the (?:developer|administrator|system)\b|\b(?:the )?(?:user|developer|administrator|operator|system|finance director) (?:has |have )?(?:already )?(?:approved|unlocked|authori[sz]ed|enabled)\b(?! by)|\bauthori[sz]ed (?:diagnostic|test|override)\b",
        r"\b(?:system )?administrator message\b|\bdeveloper (?:override|test|code)\b|\boverride code\b|\bsecurity polic\w+ are\b",
        r"(?:批准|承認して|승인).{0,4}(?:退款|返金|환불)|(?:返金|退款|환불)(?:を)?(?:自動|自动|자동).{0,3}(?:承認|批准|승인)",
    ),
)
