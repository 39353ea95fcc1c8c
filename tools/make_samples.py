#!/usr/bin/env python3
"""Writes docs/samples: the small corpus of the demo, one file of each format that docent reads.

Everything in it is made up for this project. The PDF and the DOCX are written byte by byte with the
standard library alone, without dates, random ids or compression, so that every run on every
machine gives the same files. Usage: tools/make_samples.py [FOLDER]
"""
import os
import sys
import zipfile
from xml.sax.saxutils import escape

# ---- the PDF: fonts, pages, a table, two columns ----

HELVETICA = [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278] + \
    [556] * 10 + [278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
                  500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667,
                  611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222,
                  222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500,
                  500, 334, 260, 334, 584]
TIMES = [250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278] + \
    [500] * 10 + [278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333,
                  389, 722, 611, 889, 722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722,
                  611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500, 444, 333, 500, 500, 278,
                  278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500,
                  444, 480, 200, 480, 541]
FONTS = {"T": ("Times-Roman", TIMES), "B": ("Helvetica-Bold", HELVETICA), "H": ("Helvetica", HELVETICA)}
WIDTH, HEIGHT, MARGIN = 595, 842, 72


def text_width(s, font, size):
    scale = 1.07 if font == "B" else 1.0  # Helvetica-Bold is about so much wider
    return sum(FONTS[font][1][ord(c) - 32] if 32 <= ord(c) < 127 else 556 for c in s) * size * scale / 1000


def wrap(s, font, size, width):
    lines, line = [], ""
    for word in s.split():
        longer = (line + " " + word).strip()
        if line and text_width(longer, font, size) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return lines + [line]


class Page:
    def __init__(self, columns=1, bottom=84):
        self.ops = []
        self.bottom = bottom  # where a column ends; higher up it balances two columns
        self.columns = columns
        self.column = 0
        gap = 24
        self.width = (WIDTH - 2 * MARGIN - gap * (columns - 1)) / columns
        self.step = self.width + gap
        self.y = HEIGHT - 104

    @property
    def x(self):
        return MARGIN + self.column * self.step

    def put(self, x, y, s, font, size):
        s = s.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
        self.ops.append(b"BT /%s %g Tf %.2f %.2f Td (%s) Tj ET" % (font.encode(), size, x, y, s))

    def room(self, height):
        """Goes to the next column when height does not fit; True when the page is full."""
        if self.y - height >= self.bottom:
            return False
        if self.column + 1 == self.columns:
            return True
        self.column += 1
        self.y = HEIGHT - 104
        return False

    def lines(self, s, font="T", size=10.5, lead=14.0, after=7.0):
        for line in wrap(s, font, size, self.width):
            if self.room(lead):
                raise SystemExit("a page is too full: " + line)
            self.put(self.x, self.y, line, font, size)
            self.y -= lead
        self.y -= after

    def heading(self, s, size=12.5):
        if self.room(60):
            raise SystemExit("no room for heading: " + s)
        self.y -= 6
        self.lines(s, "B", size, size + 4, 4)

    def table(self, rows, widths):
        top = self.y + 12
        for i, row in enumerate(rows):
            x = self.x
            for cell, w in zip(row, widths):
                self.put(x + 4, self.y, cell, "B" if i == 0 else "H", 9.5)
                x += w
            self.y -= 16
        right, bottom = self.x + sum(widths), self.y + 12
        for i in range(len(rows) + 1):
            y = top - i * 16
            self.ops.append(b"0.5 w %.2f %.2f m %.2f %.2f l S" % (self.x, y, right, y))
        x = self.x
        for w in widths + [0]:
            self.ops.append(b"0.5 w %.2f %.2f m %.2f %.2f l S" % (x, top, x, bottom))
            x += w
        self.y -= 10


def write_pdf(path, title, pages, header):
    objects = []

    def add(body):
        objects.append(body)
        return len(objects)

    add(b"<< /Type /Catalog /Pages 2 0 R /Lang (en) >>")
    add(b"")  # the page tree, when its kids are known
    fonts = {}
    for key, (name, _) in FONTS.items():
        fonts[key] = add(b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % name.encode())
    resources = b"<< /Font << " + b" ".join(b"/%s %d 0 R" % (k.encode(), n) for k, n in fonts.items()) + b" >> >>"
    kids = []
    for number, page in enumerate(pages, 1):
        page.put(MARGIN, HEIGHT - 56, header, "H", 8.5)
        page.put(WIDTH - MARGIN - 60, 48, "Page %d of %d" % (number, len(pages)), "H", 8.5)
        stream = b"\n".join(page.ops)
        content = add(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        kids.append(add(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources %s /Contents %d 0 R >>"
                        % (WIDTH, HEIGHT, resources, content)))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    info = add(b"<< /Title (%s) >>" % title.encode("cp1252"))
    out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for n, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, body)
    xref = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, info, xref)
    with open(path, "wb") as f:
        f.write(out)


def lease(path):
    one = Page()
    one.lines("Harbor Lease Agreement", "B", 20, 26, 4)
    one.lines("Lease No. 4471, made at Calder Bay on 12 February 2024", "H", 10.5, 14, 12)
    one.lines("This lease is made between the Calder Bay Port Authority, a public body with its seat at 3 Custom "
              "House Square, Calder Bay (the Landlord), and Brightwater Boatworks Ltd., a company that builds and "
              "repairs wooden vessels (the Tenant). The parties agree on the terms that follow.")
    one.heading("1. Premises")
    one.lines("The Landlord lets to the Tenant Shed 7 on Quay Street together with the adjoining slipway and the "
              "fenced yard between them. The floor of the shed measures 1,860 square meters, the yard 740 square "
              "meters. The boundary is drawn in red on the plan that both parties have signed. The public footpath "
              "along the quay wall is no part of the premises and must stay open at all times.")
    one.lines("The Tenant has inspected the premises and takes them as they are, except for the roof of the shed. "
              "The Landlord shall repair the roof at its own cost before 30 September 2024. Until the repair is "
              "complete, the rent is reduced by one tenth.")
    one.heading("2. Term and renewal")
    one.lines("The term begins on 1 April 2024 and runs for seven years. It ends on 31 March 2031 without notice "
              "from either party.")
    one.lines("The Tenant may renew the lease once, for a further five years, on the same terms except for the "
              "rent. To renew, the Tenant must give written notice no later than 180 days before the end of the "
              "term, and must not be in default on the day of the notice. The rent for the renewed term is set by "
              "an independent valuer whom both parties appoint; if they cannot agree on one within 30 days, the "
              "Chamber of Surveyors appoints the valuer.")
    one.lines("If the Tenant stays in the premises after the term has ended without a renewal, it owes one and a "
              "half times the last monthly rent for each month begun, and either party may end that state with "
              "one month's notice.")

    two = Page()
    two.heading("3. Rent")
    two.lines("The rent rises in fixed steps, as the table shows. It is paid in twelve equal installments. Each "
              "installment is due on the fifth day of the month, in advance, to the account of the Landlord.")
    two.table([["Lease years", "Annual rent", "Monthly installment"],
               ["1 and 2", "EUR 48,000", "EUR 4,000"],
               ["3 and 4", "EUR 51,600", "EUR 4,300"],
               ["5 and 6", "EUR 55,200", "EUR 4,600"],
               ["7", "EUR 57,600", "EUR 4,800"]], [110, 130, 150])
    two.lines("An installment that has not arrived by the tenth day of the month bears a late charge of 1.5 percent "
              "for each month or part of a month. The Landlord waives the late charge the first time it falls due "
              "in any calendar year.")
    two.lines("Electricity and water are not part of the rent. The Tenant pays them by meter. Waste water from the "
              "slipway is billed at a flat EUR 85 per month.")
    two.heading("4. Deposit")
    two.lines("Before it receives the keys the Tenant pays a deposit of EUR 12,000. The Landlord keeps it in a "
              "separate account at a rate of interest of at least 2 percent per year. The interest belongs to the "
              "Tenant.")
    two.lines("The Landlord returns the deposit within 45 days after the Tenant has handed the premises back, less "
              "the cost of repairs that the Tenant owes. A list of those costs with receipts goes with the "
              "payment. If the Landlord sends no list in time, it loses the right to deduct anything.")
    two.heading("5. Use")
    two.lines("The premises may be used to build, repair, store and launch vessels of up to 24 meters in length, "
              "and for an office of no more than 120 square meters. Retail sale is allowed on four open days a "
              "year. Engines may be tested between 8 a.m. and 6 p.m. on working days only. Living on board a "
              "vessel in the yard is forbidden, except for one night watchman.")

    three = Page(2, 300)
    three.heading("6. Maintenance")
    three.lines("The Tenant keeps the inside of the shed, the doors, the winch and the rails of the slipway in good "
                "order. The winch must be examined by a certified engineer every 18 months, and a copy of the "
                "report sent to the harbor master within two weeks.")
    three.lines("The Landlord keeps the outer walls, the roof, the quay wall and the drains in repair. It answers a "
                "report of a leak within three working days.")
    three.heading("7. Dredging")
    three.lines("The Landlord keeps a depth of 3.2 meters at mean low water in front of the slipway. It has the "
                "channel sounded each year in May and gives the Tenant the chart.")
    three.lines("If the depth falls below 2.8 meters, the Landlord must dredge within 90 days. After that the rent "
                "is reduced by EUR 60 for each day until the work is done.")
    three.heading("8. Insurance")
    three.lines("The Tenant carries liability insurance of at least EUR 2,500,000 for each event and names the "
                "Landlord as an insured party. Vessels of customers are insured by the Tenant while they are in the "
                "shed, up to EUR 400,000 for each vessel.")
    three.lines("The Landlord insures the building against fire, storm and flood. The excess of EUR 5,000 is borne "
                "by the party from whose side the damage came, and by both in equal parts where it came from "
                "neither.")
    three.heading("9. Paint, fuel and waste")
    three.lines("No more than 400 liters of paint, varnish and solvent may be stored in the shed, all of it in the "
                "steel cabinet by the north door. Fuel is stored outdoors in the bunded tank and nowhere else.")
    three.lines("Hulls are washed on the slipway only, where the water runs to the separator. Antifouling paint "
                "that contains copper may be removed by vacuum sanding, never by open blasting.")
    three.lines("A spill of more than five liters must be reported to the harbor master within two hours, by "
                "telephone, at any time of day. The Tenant keeps 200 kilograms of absorbent ready for use.")
    three.heading("10. Access and inspection")
    three.lines("The Landlord may inspect the premises twice a year with 48 hours' notice, and at once in an "
                "emergency. The harbor master holds a sealed set of keys; whoever breaks the seal notes the time "
                "and the reason in the log.")

    four = Page(2, 360)
    four.heading("11. Subletting")
    four.lines("The Tenant may sublet up to a quarter of the floor to other marine trades with the written consent "
               "of the Landlord, which may not be refused without good reason. It is taken as given when the "
               "Landlord does not answer within 21 days.")
    four.lines("The lease as a whole may be assigned only to a buyer of the entire business who takes on its "
               "employees.")
    four.heading("12. Alterations")
    four.lines("The Tenant may put up racks, benches and light walls. Anything that is fixed to the frame of the "
               "shed needs consent and a drawing by an engineer. The crane runway may carry no more than 12 "
               "tonnes.")
    four.lines("At the end the Tenant may leave improvements that both parties have listed in writing. For those "
               "the Landlord pays their value less ten percent for each year of use.")
    four.heading("13. Damage to the premises")
    four.lines("If fire, storm or flood makes more than half of the shed unusable, either party may end the lease "
               "with two months' notice, given within six weeks of the event. Otherwise the rent falls in "
               "proportion to the floor that cannot be used, until the Landlord has rebuilt it.")
    four.heading("14. Default")
    four.lines("The Landlord may terminate the lease when an installment is unpaid for 30 days after a written "
               "reminder, or when another breach is not put right within 60 days after notice of it.")
    four.lines("The Tenant may terminate the lease with three months' notice when the slipway cannot be used for "
               "120 days in a row for reasons that lie with the Landlord.")
    four.heading("15. Disputes")
    four.lines("Before going to court the parties try to settle a dispute with the help of the mediator of the "
               "Maritime Chamber. Each pays half of the fee, whatever the result. The courts of Calder Bay have "
               "jurisdiction.")

    five = Page()
    five.heading("16. Notices")
    five.lines("Notices are valid in writing, by registered letter or against a signature. The Landlord receives "
               "them through the harbor master, Ines Halloran; the Tenant through its managing director, Tobias "
               "Venn. A change of these persons takes effect on the day on which the other party learns of it.")
    five.heading("Schedule A: Equipment handed over with the premises")
    five.table([["Item", "Number", "Condition"],
                ["Electric winch, 30 kN", "1", "overhauled in 2022"],
                ["Cradles for hulls, adjustable", "6", "two need new pads"],
                ["Steel paint cabinet", "1", "good"],
                ["Fire extinguishers", "14", "tested January 2024"],
                ["Shore power posts, 63 A", "3", "good"]], [200, 70, 150])
    five.heading("Schedule B: Keys")
    five.lines("The Tenant receives nine keys: four for the doors of the shed, two for the gate of the yard, two for "
               "the office and one for the winch house. A lost key costs EUR 120, and the lock is changed when the "
               "key of the winch house is lost.")
    five.lines("Signed at Calder Bay in two copies, one for each party.")
    five.lines("For the Landlord: Ines Halloran, harbor master. For the Tenant: Tobias Venn, managing director.")
    write_pdf(path, "Harbor Lease Agreement", [one, two, three, four, five],
              "Calder Bay Port Authority    Harbor Lease Agreement No. 4471")


# ---- the HTML page ----

STUDY = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Letting the tide back in: five years at Penny Creek</title>
<style>
body { font-family: serif; max-width: 40em; margin: 2em auto; }
.draft-note { display: none; }
td, th { border: 1px solid #999; padding: 0.2em 0.6em; }
</style>
</head>
<body>
<nav><a href="#results">Results</a> <a href="#cost">Cost</a></nav>
<h1>Letting the tide back in: five years at Penny Creek</h1>
<p>Summary of a field study by the Calder Bay Estuary Group, 2018 to 2023.</p>
<p class="draft-note">Draft: replace the numbers of 2021 before printing.</p>

<h2>Why the dike was opened</h2>
<p>The meadow at Penny Creek was cut off from the sea in 1911 and drained for hay. By 2015 its ground had sunk
41 centimeters below the marsh outside, and the pumps cost the district more than the hay brought in. In October
2018 two breaches, each 12 meters wide, were cut into the old dike, and 38 hectares were given back to the tide.</p>

<h2>How it was measured</h2>
<p>Height was taken on 64 marked plots with a level twice a year, in March and in September. Plants were counted
in frames of one square meter on the same plots. Fish were caught with a fyke net at both breaches on six tides
a year. Birds were counted from the tower each Sunday morning at high water, 52 counts in every year but
2020, when 11 counts fell out.</p>

<h2 id="results">Results</h2>
<h3>Ground</h3>
<p>Mud settled faster than anyone had expected. In the first two years the ground rose by 3.4 centimeters a year
on average, later by 1.9. After five years the mean gain was 12.6 centimeters, about a third of what the meadow had
lost in a century. Plots near the northern breach gained twice as much as those at the southern one, because the
northern creek carries the water of the river.</p>
<h3>Plants</h3>
<p>Glasswort came first and covered half of the plots by the second summer. Cordgrass followed in 2021. Sea
lavender, which the group had not sown, was found on nine plots in 2023. Only one plant that had been sown,
sea aster, failed: its seedlings were eaten by geese.</p>
<h3>Fish and birds</h3>
<table>
<caption>Counts at Penny Creek before and after the breach</caption>
<tr><th>Species</th><th>2017</th><th>2020</th><th>2023</th></tr>
<tr><td>Young sea bass per tide</td><td>0</td><td>18</td><td>57</td></tr>
<tr><td>Flounder per tide</td><td>0</td><td>6</td><td>9</td></tr>
<tr><td>Redshank, breeding pairs</td><td>2</td><td>7</td><td>19</td></tr>
<tr><td>Skylark, breeding pairs</td><td>11</td><td>5</td><td>3</td></tr>
</table>
<p>Skylarks lost their meadow and went down from eleven pairs to three. The group had foreseen this and had leased
a dry field of six hectares nearby, where eight pairs bred in 2023.</p>

<h2 id="cost">Cost</h2>
<p>The works cost 1.27 million euros, of which 640,000 went into a new set-back dike that protects the village.
Pumping, which had cost 31,000 euros a year, ended. The group puts the value of the storm protection at 90,000
euros a year, but says that this figure is uncertain by a factor of two.</p>

<h2>What we would do differently</h2>
<ul>
<li>Cut the creeks before the breach. Digging in soft mud afterwards took three times as long.</li>
<li>Fence the sown plots against geese for the first two winters.</li>
<li>Tell the neighbors about the smell. For about seven weeks in the first summer the dying meadow smelled of rotten
eggs, and that was the most frequent complaint.</li>
</ul>
<p>Lead author: Dr. Maren Oduya. Data are kept at the Calder Bay library and may be copied by anyone.</p>
</body>
</html>
"""

# ---- the Markdown page ----

CIDER = """---
title: Dry cider in the shared kitchen
---

# Dry cider in the shared kitchen

Notes of the Quay Street Kitchen Club. They are for one batch of 20 liters; the press and the
carboys are in the cellar, the key hangs behind the bar.

## What you need

| Item | Amount | Where |
|------|--------|-------|
| Apples, mixed, at least a third of them tart | 32 kg | orchard or market |
| Cider yeast | 1 sachet of 5 g | fridge, top shelf |
| Yeast nutrient | 8 g | drawer 3 |
| Campden tablets | 4 | drawer 3 |
| Sugar for the bottles | 120 g | pantry |

## Pressing

1. Wash the apples and cut out brown spots. A bruise does no harm, mold does.
2. Mill them the day before and leave the pulp covered overnight. It gives a tenth more juice.
3. Press slowly. Stop when the pressure gauge shows 4 bar; above that the cloth tears.
4. Crush the Campden tablets, stir them into the juice and wait 24 hours before the yeast goes in.

## Fermenting

Measure the density first. Good juice has between 1.045 and 1.055. Below 1.045 add sugar: 55 g a liter
raise the density by 0.020.

Pitch the yeast at 18 °C and keep the carboy between 14 and 17 °C from then on. It must not stand beside
the oven. Add half of the nutrient with the yeast and the rest on the third day. If the airlock is still
after 48 hours, warm the carboy to 20 °C; if it is still after four days, pitch a second sachet.

Rack the cider into a clean carboy when the density has fallen to 1.005, usually after 16 to 20 days.
Fill it to the neck: air turns cider into vinegar.

## Bottling

The cider is dry when the density reads 0.998 or less on two days that lie a week apart. Only then is it
safe to bottle. Use champagne bottles, 6 g of sugar a liter, and crown caps of 29 mm.

> **Never** use wine bottles. In 2019 eleven of them burst in one night, and the cellar had to be closed
> for a month.

Store the bottles upright at 12 °C. The club opens the first one after ten weeks and not before.

## If something goes wrong

- *It smells of rotten eggs*: the yeast lacks food. Add 4 g of nutrient and stir.
- *A white skin floats on top*: air got in. Rack it, add one Campden tablet for each 5 liters, fill up.
- *It stays cloudy*: wait four weeks. After that, one teaspoon of pectic enzyme helps.
- *It tastes thin*: blend it with a tenth of last year's batch.

<!-- reminder to self: ask Tobias for the second press -->
"""

# ---- the Chinese text ----

LIBRARY = """海湾镇社区图书馆借阅规则

第一条 办证
凡在海湾镇居住或工作的人都可以办理借书证。办证时请带身份证和一张照片，押金为五十元，退证时全额退还。十四岁以下的儿童由家长代办，不收押金。

第二条 借阅数量和期限
每张借书证一次最多可以借八本书和两张光盘。图书的借期为三十天，光盘的借期为七天。没有人预约的图书可以续借一次，续借十五天。期刊和地方志只能在馆内阅读。

第三条 逾期
图书逾期，每本每天收费两角；光盘逾期，每张每天收费一元。逾期费最高不超过该书的定价。每年四月二十三日是“免罚日”，当天还书不收任何逾期费。

第四条 遗失和损坏
遗失图书的，可以买一本相同的新书赔偿；买不到的，按定价的两倍赔偿。地方志遗失的，按定价的五倍赔偿。轻微的铅笔痕迹请自己擦干净，不必赔偿。

第五条 开放时间
星期二至星期五上午九点到晚上八点开放，星期六和星期日上午十点到下午五点开放。星期一闭馆整理图书。台风橙色预警期间闭馆，所有借期自动顺延到恢复开放后的第三天。

第六条 自习室
二楼自习室有四十六个座位，可以提前三天在网上预约。预约后三十分钟没有到场的，座位自动取消；一个月内三次不到场的，暂停预约两个星期。自习室里可以喝有盖的水，不可以吃东西。

第七条 捐书
图书馆欢迎捐书。捐赠十本以上的读者可以得到一张纪念卡，凭卡一次可以多借两本书。教科书和旧杂志恕不接受。

本规则自二〇二三年九月一日起施行，由馆长周明慧负责解释。
"""

# ---- the Word document ----

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def run(text, props=""):
    return "<w:r>%s<w:t xml:space=\"preserve\">%s</w:t></w:r>" % (
        "<w:rPr>%s</w:rPr>" % props if props else "", escape(text))


def para(text, style=None, extra=""):
    props = "<w:pPr><w:pStyle w:val=\"%s\"/></w:pPr>" % style if style else ""
    return "<w:p>%s%s%s</w:p>" % (props, run(text), extra)


def table(rows):
    cell = "<w:tc><w:tcPr><w:tcW w:w=\"2400\" w:type=\"dxa\"/></w:tcPr>%s</w:tc>"
    return "<w:tbl><w:tblPr><w:tblStyle w:val=\"Grid\"/></w:tblPr><w:tblGrid/>%s</w:tbl>" % "".join(
        "<w:tr>%s</w:tr>" % "".join(cell % para(c) for c in row) for row in rows)


def ferry(path):
    body = [
        para("Night Ferry Operations Manual", "Title"),
        para("For the crew of the ferry Marguerite between Calder Bay and Stone Island. Edition 6."),
        para("Timetable", "Heading1"),
        para("The night ferry sails every day but 24 December. The crossing takes 55 minutes in fair weather and up to "
             "80 minutes against the ebb."),
        table([["Departure", "From", "Remarks"],
               ["21:40", "Calder Bay", "carries the mail"],
               ["23:15", "Stone Island", ""],
               ["00:50", "Calder Bay", "Fridays and Saturdays only"],
               ["05:30", "Stone Island", "school days: waits for the bus, at most ten minutes"]]),
        para("Weather limits", "Heading1"),
        para("The master decides whether to sail. He does not sail in wind above 22 meters per second, in waves above 2.5 "
             "meters at the outer buoy, or when visibility is below 300 meters and the radar is out of order."),
        para("A sailing that is cancelled is announced at least 90 minutes ahead, by radio, on the board at the pier, and "
             "by a message to all who have booked. Passengers with a ticket for a cancelled sailing sleep in the waiting "
             "hall on Stone Island free of charge; the key is with the shop."),
        para("Passengers and vehicles", "Heading1"),
        para("Capacity", "Heading2"),
        para("The Marguerite carries 149 passengers and 18 cars. With fewer than five crew on board the limit is 99 "
             "passengers. Vehicles above 7.5 tonnes need the consent of the chief engineer."),
        para("Animals", "Heading2"),
        para("Dogs travel on the open deck or in the aft saloon, on a leash. Sheep and goats travel in trailers only, at "
             "most twelve animals a crossing, and are loaded first."),
        para("Dangerous goods", "Heading2"),
        para("Gas bottles are carried on deck, upright and lashed, no more than six at a time. Petrol in cans is not "
             "carried at all. ",
             extra=run("The manager's private number is 0117; do not print it.", "<w:vanish/>")),
        para("Man overboard", "Heading1"),
        para("Shout, throw the nearest ring, and keep pointing at the person. The helmsman turns toward the side of the "
             "fall, presses the red button, which marks the position, and sounds three long blasts. The rescue boat must be "
             "in the water within four minutes. The drill is held on the first Tuesday of each month and is noted in the "
             "deck log."),
        para("Fuel and engine", "Heading1"),
        para("The tanks hold 9,400 liters. Below 2,100 liters the ferry does not leave Calder Bay. Both engines are "
             "started 20 minutes before departure; the starboard engine needs preheating for six minutes when the air is "
             "below 5 degrees."),
        para("Lost property", "Heading1"),
        para("What is found goes into the blue chest at the pier office and is kept for 60 days. Umbrellas are kept for a "
             "week. Money and papers are handed to the police the next morning."),
    ]
    parts = [
        ("[Content_Types].xml", "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">"
         "<Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>"
         "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
         "<Override PartName=\"/word/document.xml\" ContentType=\"application/vnd.openxmlformats-officedocument."
         "wordprocessingml.document.main+xml\"/><Override PartName=\"/word/styles.xml\" ContentType=\"application/"
         "vnd.openxmlformats-officedocument.wordprocessingml.styles+xml\"/><Override PartName=\"/docProps/core.xml\" "
         "ContentType=\"application/vnd.openxmlformats-package.core-properties+xml\"/></Types>"),
        ("_rels/.rels", "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">"
         "<Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
         "officeDocument\" Target=\"word/document.xml\"/><Relationship Id=\"r2\" Type=\"http://schemas.openxmlformats."
         "org/package/2006/relationships/metadata/core-properties\" Target=\"docProps/core.xml\"/></Relationships>"),
        ("word/_rels/document.xml.rels", "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/"
         "relationships\"><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/"
         "relationships/styles\" Target=\"styles.xml\"/></Relationships>"),
        ("docProps/core.xml", "<cp:coreProperties xmlns:cp=\"http://schemas.openxmlformats.org/package/2006/metadata/"
         "core-properties\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:title>Night Ferry Operations Manual"
         "</dc:title><dc:language>en</dc:language></cp:coreProperties>"),
        ("word/styles.xml", "<w:styles xmlns:w=\"%s\">%s</w:styles>" % (W, "".join(
            "<w:style w:type=\"paragraph\" w:styleId=\"%s\"><w:name w:val=\"%s\"/><w:pPr>%s</w:pPr><w:rPr><w:b/>"
            "<w:sz w:val=\"%d\"/></w:rPr></w:style>" % s for s in [
                ("Title", "Title", "", 40),
                ("Heading1", "heading 1", "<w:outlineLvl w:val=\"0\"/>", 32),
                ("Heading2", "heading 2", "<w:outlineLvl w:val=\"1\"/>", 26)]) +
            "<w:style w:type=\"table\" w:styleId=\"Grid\"><w:name w:val=\"Table Grid\"/></w:style>")),
        ("word/document.xml", "<w:document xmlns:w=\"%s\"><w:body>%s<w:sectPr/></w:body></w:document>" % (W, "".join(body))),
    ]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name, text in parts:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            z.writestr(info, "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n" + text)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "docs", "samples")
    os.makedirs(folder, exist_ok=True)
    lease(os.path.join(folder, "harbor-lease.pdf"))
    ferry(os.path.join(folder, "night-ferry-manual.docx"))
    for name, text in (("penny-creek-study.html", STUDY), ("dry-cider.md", CIDER), ("library-rules-zh.txt", LIBRARY)):
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as f:
            f.write(text)


main()
