"""Languages of made samples: one sentence about a harbour in 31 languages, and things that are in none."""

import pytest

from cloudcpt.corpus.stats.language import UNKNOWN, language_of

pytest.importorskip("py3langid", reason="needs the [data] extra")

HARBOUR = {
    "en": "The harbour was quiet when the fishermen came back, and only a "
    "few gulls were waiting on the wall for what they might throw away.",
    "de": "Der Hafen war still, als die Fischer zurückkamen, und nur ein "
    "paar Möwen warteten auf der Mauer auf das, was sie wegwerfen würden.",
    "fr": "Le port était calme quand les pêcheurs sont revenus, et "
    "seules quelques mouettes attendaient sur le mur ce qu'ils pourraient jeter.",
    "es": "El puerto estaba tranquilo cuando volvieron los pescadores, y solo "
    "unas gaviotas esperaban en el muro lo que pudieran tirar.",
    "pt": "O porto estava calmo quando os pescadores voltaram, e apenas "
    "algumas gaivotas esperavam no muro pelo que eles pudessem deitar fora.",
    "it": "Il porto era tranquillo quando i pescatori tornarono, e solo "
    "qualche gabbiano aspettava sul muro quello che avrebbero buttato via.",
    "nl": "De haven was stil toen de vissers terugkwamen, en alleen een "
    "paar meeuwen wachtten op de muur op wat ze zouden weggooien.",
    "pl": "Port był cichy, kiedy rybacy wrócili, i tylko kilka mew "
    "czekało na murze na to, co mogliby wyrzucić do wody.",
    "cs": "Přístav byl tichý, když se rybáři vrátili, a jen několik racků "
    "čekalo na zdi na to, co by mohli vyhodit do vody.",
    "sv": "Hamnen var tyst när fiskarna kom tillbaka, och bara några "
    "måsar väntade på muren på vad de skulle kasta bort.",
    "fi": "Satama oli hiljainen, kun kalastajat palasivat, ja vain "
    "muutama lokki odotti muurilla sitä, mitä he heittäisivät pois.",
    "hu": "A kikötő csendes volt, amikor a halászok visszatértek, és "
    "csak néhány sirály várta a falon, hogy mit dobnak ki.",
    "ro": "Portul era liniștit când pescarii s-au întors și doar câțiva "
    "pescăruși așteptau pe zid ceea ce ar fi putut arunca.",
    "tr": "Balıkçılar döndüğünde liman sessizdi ve duvarın "
    "üzerinde sadece birkaç martı onların atacaklarını bekliyordu.",
    "vi": "Bến cảng yên tĩnh khi những người đánh cá trở về, và chỉ có "
    "vài con hải âu đang đợi trên tường những gì họ có thể vứt đi.",
    "id": "Pelabuhan itu sepi ketika para nelayan kembali, dan "
    "hanya beberapa burung camar yang menunggu di atas tembok.",
    "sw": "Bandari ilikuwa kimya wavuvi waliporudi, na ndege "
    "wachache tu walikuwa wakisubiri ukutani kile ambacho wangetupa.",
    "ru": "В гавани было тихо, когда рыбаки вернулись, и только "
    "несколько чаек ждали на стене того, что они могли выбросить.",
    "uk": "У гавані було тихо, коли рибалки повернулися, і лише кілька "
    "чайок чекали на стіні на те, що вони могли викинути.",
    "bg": "Пристанището беше тихо, когато рибарите се върнаха, и "
    "само няколко чайки чакаха на стената какво ще изхвърлят.",
    "el": "Το λιμάνι ήταν ήσυχο όταν γύρισαν οι ψαράδες, και μόνο λίγοι γλάροι περίμεναν στον τοίχο ό,τι θα πετούσαν.",
    "he": "הנמל היה שקט כאשר הדייגים חזרו, ורק כמה שחפים חיכו על הקיר למה שהם עשויים לזרוק לים.",
    "ar": "كان الميناء هادئا عندما عاد الصيادون، ولم يكن هناك سوى عدد قليل من النوارس تنتظر على الجدار ما قد يرمونه.",
    "fa": "وقتی ماهیگیران برگشتند بندر آرام بود و فقط چند مرغ دریایی روی دیوار منتظر چیزی بودند که آنها دور می‌ریختند.",
    "hi": "जब मछुआरे लौटे तो बंदरगाह शांत था, और केवल कुछ पक्षी दीवार पर उस चीज़ का इंतज़ार कर रहे थे जो वे फेंक देंगे।",
    "bn": "জেলেরা ফিরে আসার সময় বন্দরটি শান্ত ছিল, আর কেবল কয়েকটি পাখি দেয়ালে বসে অপেক্ষা করছিল তারা কী ফেলে দেবে।",
    "ta": "மீனவர்கள் திரும்பி வந்தபோது துறைமுகம் அமைதியாக இருந்தது, சில பறவைகள் மட்டுமே சுவரில் காத்திருந்தன.",
    "th": "ท่าเรือเงียบสงบเมื่อชาวประมงกลับมา และมีเพียงนกนางนวลไม่กี่ตัวรออยู่บนกำแพงเพื่อดูว่าพวกเขาจะทิ้งอะไร",
    "ko": "어부들이 돌아왔을 때 항구는 조용했고, 갈매기 몇 마리만이 담 위에서 그들이 버릴 것을 기다리고 있었다.",
    "ja": "漁師たちが戻ってきたとき港は静かで、数羽のカモメだけが塀の上で彼らが捨てるものを待っていた。",
    "zh": "渔民们回来的时候港口很安静,只有几只海鸥在墙上等着他们可能扔掉的东西。天慢慢黑了,村子里的灯亮了起来。",
}

IN_NO_LANGUAGE = {
    "Python": "def main(argv):\n    for name in argv:\n        with open(name) as f:\n            print(f)\n",
    "C": "#include <stdio.h>\nint main(int argc, char **argv) {\n  for (int i = 0; i < argc; i++) printf(argv[i]);\n}",
    "JSON": '{"id": 12, "name": "x", "values": [1, 2, 3], "nested": {"a": null, "b": true, "at": "2020-01-01"}}',
    "JavaScript": "const x = require('fs'); function f(a, b) { return a.map(y => y + b).filter(Boolean); }",
    "numbers": "12.5 33.1 99.0 1e-4 | 44 | 45 | 99 | 1,204 | 77.5 %",
    "one word": "Hafen",
}


@pytest.mark.parametrize(("language", "text"), HARBOUR.items())
def test_a_sentence_is_told_by_its_language(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", IN_NO_LANGUAGE.values(), ids=IN_NO_LANGUAGE)
def test_what_is_in_no_language_is_not_given_one(text: str) -> None:
    assert language_of(text) == UNKNOWN


def test_the_middle_of_a_document_decides() -> None:
    menu = "Home | About | Contact | Imprint\n" * 5
    assert language_of(menu + HARBOUR["fi"] * 6 + menu) == "fi"


def test_random_letters_are_no_language() -> None:
    assert language_of("aGVsbG8gd29ybGQgdGhpcyBpcyBiYXNlNjQgZW5jb2RlZCB0ZXh0IHdpdGggc29tZSBsZW5ndGg") in (
        "zxx",
        UNKNOWN,
    )
