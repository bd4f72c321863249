package city

// Name is what somebody is called.
type Name struct{ Zh, En string }

// surnames and given names are common ones of the generation.
var (
	surnames = []Name{
		{"王", "Wang"}, {"李", "Li"}, {"张", "Zhang"}, {"刘", "Liu"}, {"陈", "Chen"}, {"杨", "Yang"}, {"赵", "Zhao"}, {"周", "Zhou"},
		{"吴", "Wu"}, {"徐", "Xu"}, {"孙", "Sun"}, {"马", "Ma"}, {"朱", "Zhu"}, {"胡", "Hu"}, {"郭", "Guo"}, {"高", "Gao"},
	}
	womens = []Name{
		{"桂英", "Guiying"}, {"秀兰", "Xiulan"}, {"玉兰", "Yulan"}, {"秀英", "Xiuying"}, {"玉珍", "Yuzhen"}, {"凤英", "Fengying"},
		{"桂兰", "Guilan"}, {"素珍", "Suzhen"}, {"淑兰", "Shulan"}, {"翠华", "Cuihua"},
	}
	mens = []Name{
		{"建国", "Jianguo"}, {"国强", "Guoqiang"}, {"志强", "Zhiqiang"}, {"德福", "Defu"}, {"文华", "Wenhua"}, {"永康", "Yongkang"},
		{"学文", "Xuewen"}, {"长生", "Changsheng"}, {"金山", "Jinshan"}, {"福生", "Fusheng"},
	}
)

// name gives somebody a name. No record carries it: the engine knows an opaque
// id, and only those who tell of the city need more.
func (c *City) name(rank uint64) (name Name, woman bool) {
	d := c.draw(tagName, rank)
	woman = d.below(2) == 0
	surname, given := pick(&d, surnames), pick(&d, mens)
	if woman {
		given = pick(&d, womens)
	}
	return Name{surname.Zh + given.Zh, surname.En + " " + given.En}, woman
}
